/* The engine in float64 against the goldens: the files of tests/golden, made in PyTorch by
 * tests/oracle/make_goldens.py, which documents their layout. One test per case; run from the root
 * of the repository.
 */
#include "server/job/choice.h"
#include "server/job/field.h"
#include "server/job/reader.h"
#include "server/job/strategy.h"
#include "tests/record.h"
#include "tests/suite.h"
#include "tests/tolerance.h"

#include <cjson/cJSON.h>
#include <glob.h>

enum { SHOWN = 25, PATTERN = sizeof "tests/golden/" - 1 };

extern void openblas_set_num_threads(int n);

static glob_t files; /* which cases there are: set once in main, read by the forked tests */

/* What disagrees in one case, and the worst of what does not. */
typedef struct comparison {
    const char *name;
    const tolerance *instead; /* of the tolerance of each value; NULL: that */
    int compared, wrong;
    double worst;
    char worst_at[160];
} comparison;

static void
report_wrong(comparison *c, const char *at, const char *what, double ours, double golden)
{
    if (c->wrong++ < SHOWN)
        fprintf(stderr, "%s: %s %s: engine %.17g, golden %.17g, difference %.3g\n", c->name, at,
                what, ours, golden, ours - golden);
}

static void compare(comparison *c,
                    const char *at,
                    const char *what,
                    tolerance t,
                    double scale,
                    double ours,
                    double golden)
{
    double excess = tolerance_excess(c->instead != NULL ? *c->instead : t, scale, ours, golden);
    c->compared++;
    if (excess > c->worst) {
        c->worst = excess;
        snprintf(c->worst_at, sizeof c->worst_at, "%s %s", at, what);
    }
    if (!(excess <= 1)) report_wrong(c, at, what, ours, golden);
}

static double magnitude(double a, double b)
{
    return fmax(fabs(a), fabs(b));
}

static double number(const cJSON *row, int i)
{
    return cJSON_GetNumberValue(cJSON_GetArrayItem(row, i));
}

/* --- steps --- */

static void compare_steps(comparison *c, const record *r, const cJSON *rows)
{
    ck_assert_int_eq((int)r->n_steps, cJSON_GetArraySize(rows));
    for (size_t i = 0; i < r->n_steps; i++) {
        const cJSON *row = cJSON_GetArrayItem(rows, (int)i);
        const step_record *s = &r->steps[i];
        double ours[] = {s->loss, s->lr, s->grad_norm};
        const char *names[] = {"loss", "lr", "grad_norm"};
        char at[32];
        snprintf(at, sizeof at, "step %zu", i);
        ck_assert_int_eq(s->step, (int)i);
        for (int j = 0; j < 3; j++) {
            if (j == 2 && isnan(ours[j])) continue; /* the last pass may need no gradient */
            double golden = number(row, j);
            compare(c, at, names[j], TOLERANCE_VALUE, magnitude(ours[j], golden), ours[j], golden);
        }
    }
}

/* --- measurements --- */

static const measurement *
find_measurement(const record *r, int step, int layer, site s, const char *param, metric m)
{
    for (size_t i = 0; i < r->n_measurements; i++) {
        const measurement *x = &r->measurements[i];
        if (x->step == step && x->layer == layer && x->site == s && x->metric == m &&
            strcmp(x->param == NULL ? "" : x->param, param) == 0)
            return x;
    }
    return NULL;
}

static void
compare_measurement(comparison *c, const char *at, const measurement *x, const cJSON *golden)
{
    const char *name = golden->string;
    const char *why = cJSON_IsString(golden) ? golden->valuestring : "";
    if (x == NULL) {
        if (c->wrong++ < SHOWN) fprintf(stderr, "%s: %s %s: not measured\n", c->name, at, name);
    } else if (strcmp(reason_name(x->reason), why) != 0) {
        if (c->wrong++ < SHOWN)
            fprintf(stderr, "%s: %s %s: engine says %.17g '%s', golden %.17g '%s'\n", c->name, at,
                    name, x->value, reason_name(x->reason), golden->valuedouble, why);
    } else if (x->reason == REASON_NONE) {
        double g = golden->valuedouble;
        compare(c, at, name, tolerance_of(x->metric), magnitude(x->value, g), x->value, g);
    }
}

static void compare_measurements(comparison *c, const record *r, const cJSON *rows)
{
    size_t expected = 0;
    const cJSON *row, *golden;
    cJSON_ArrayForEach(row, rows)
    {
        int step = (int)number(row, 0), layer = (int)number(row, 1);
        const char *where = cJSON_GetStringValue(cJSON_GetArrayItem(row, 2));
        const char *colon = strchr(where, ':'), *param = colon != NULL ? colon + 1 : "";
        char site_name[32];
        snprintf(site_name, sizeof site_name, "%.*s",
                 (int)(colon != NULL ? colon - where : (ptrdiff_t)strlen(where)), where);
        int s = registry_find(&site_registry, site_name);
        char at[128];
        ck_assert_int_ge(s, 0);
        snprintf(at, sizeof at, "step %d layer %d %s", step, layer, where);
        cJSON_ArrayForEach(golden, cJSON_GetArrayItem(row, 3))
        {
            int m = registry_find(&metric_registry, golden->string);
            ck_assert_msg(m >= 0, "no metric '%s'", golden->string);
            expected++;
            compare_measurement(c, at, find_measurement(r, step, layer, (site)s, param, (metric)m),
                                golden);
        }
    }
    if (r->n_measurements > expected) {
        c->wrong++;
        fprintf(stderr, "%s: the engine measured %zu numbers, the golden has %zu\n", c->name,
                r->n_measurements, expected);
    }
}

/* --- tensors --- */

static bool sees(const run_spec *spec, int layer, size_t query, size_t key)
{
    const spec_model *m = &spec->model;
    if (m->mask == MASK_CAUSAL && key > query) return false;
    size_t apart = key > query ? key - query : query - key;
    bool is_global = m->window == 0 || (m->global_every && layer % m->global_every == 0);
    return is_global || apart < (size_t)m->window;
}

/* Masked entries of an attention matrix [.., T, T] count as zero. */
static void clear_masked(const run_spec *spec, int layer, record_tensor *t)
{
    size_t T = t->dims[t->rank - 1];
    for (size_t i = 0; i < t->n; i++)
        if (!sees(spec, layer, i / T % T, i % T)) t->data[i] = 0;
}

static void compare_projections(comparison *c,
                                const char *at,
                                const record_tensor *t,
                                tolerance tol,
                                double cosine,
                                double sine)
{
    projections p = pattern_projections(t->data, t->n);
    compare(c, at, "cos", tol, p.norm, p.cosine, cosine);
    compare(c, at, "sin", tol, p.norm, p.sine, sine);
}

static void compare_sites(comparison *c, const record *r, const run_spec *spec, const cJSON *rows)
{
    const cJSON *row;
    cJSON_ArrayForEach(row, rows)
    {
        const char *site_name = cJSON_GetStringValue(cJSON_GetArrayItem(row, 1));
        for (int k = 0; k < 2; k++) {
            char name[96];
            snprintf(name, sizeof name, "%s.%d.%s", k == 0 ? "act" : "grad", (int)number(row, 0),
                     site_name);
            const record_tensor *found = record_find(r, TENSOR_PROBE, spec->measure.steps[0], name);
            if (found == NULL) {
                if (c->wrong++ < SHOWN) fprintf(stderr, "%s: no tensor %s\n", c->name, name);
                continue;
            }
            record_tensor t = *found;
            if (strcmp(site_name, "logits") == 0 || strcmp(site_name, "attn_prob") == 0)
                clear_masked(spec, (int)number(row, 0), &t);
            compare_projections(c, name, &t, TOLERANCE_PROJECTION, number(row, 2 + 2 * k),
                                number(row, 3 + 2 * k));
        }
    }
}

static void compare_tensor(comparison *c,
                           const record_tensor *t,
                           const char *name,
                           tolerance tol,
                           const cJSON *row,
                           int column)
{
    if (t == NULL) {
        if (c->wrong++ < SHOWN) fprintf(stderr, "%s: no tensor %s\n", c->name, name);
        return;
    }
    double norm = pattern_projections(t->data, t->n).norm;
    compare(c, name, "norm", tol, norm, norm, number(row, column));
    compare_projections(c, name, t, tol, number(row, column + 1), number(row, column + 2));
}

static void compare_gradients(comparison *c, const record *r, int step, const cJSON *rows)
{
    const cJSON *row;
    cJSON_ArrayForEach(row, rows)
    {
        char grad[96];
        snprintf(grad, sizeof grad, "grad.%s", cJSON_GetStringValue(cJSON_GetArrayItem(row, 0)));
        const record_tensor *g = record_find(r, TENSOR_PROBE, step, grad);
        compare_tensor(c, g, grad, TOLERANCE_PROJECTION, row, 1);
    }
}

static void compare_final(comparison *c, const record *r, const cJSON *rows)
{
    const cJSON *row;
    cJSON_ArrayForEach(row, rows)
    {
        const char *name = cJSON_GetStringValue(cJSON_GetArrayItem(row, 0));
        const record_tensor *w = record_find(r, TENSOR_FINAL, -1, name);
        compare_tensor(c, w, name, TOLERANCE_UPDATE, row, 4);
    }
}

/* Running state, where the case has some. */
static void compare_state(comparison *c, const record *r, const cJSON *rows)
{
    const cJSON *row;
    cJSON_ArrayForEach(row, rows)
    {
        char name[128];
        snprintf(name, sizeof name, "state.%s", cJSON_GetStringValue(cJSON_GetArrayItem(row, 0)));
        compare_tensor(c, record_find(r, TENSOR_FINAL, -1, name), name, TOLERANCE_UPDATE, row, 1);
    }
}

/* --- one case --- */

static cJSON *load(const char *path)
{
    FILE *f = fopen(path, "rb");
    ck_assert_msg(f != NULL, "cannot open %s", path);
    ck_assert_int_eq(fseek(f, 0, SEEK_END), 0);
    long n = ftell(f);
    ck_assert_int_gt(n, 0);
    rewind(f);
    char *text = malloc((size_t)n);
    ck_assert_ptr_nonnull(text);
    ck_assert_uint_eq(fread(text, 1, (size_t)n, f), (size_t)n);
    fclose(f);
    cJSON *json = cJSON_ParseWithLength(text, (size_t)n);
    ck_assert_msg(json != NULL, "%s is not JSON", path);
    free(text);
    return json;
}

/* A golden file and its job, resolved by the server's own reader. */
typedef struct golden_case {
    comparison c;
    cJSON *json;
    job j;
    run_spec spec;
    bool common;   /* grad_common */
    bool profiled; /* omega of admin is left to the engine's own profile */
    int first;     /* probed step */
} golden_case;

static void edit(void *user, const run_spec *spec, const tensor_view *t)
{
    const golden_case *k = user;
    if (!k->profiled || strstr(t->name, ".omega") == NULL) pattern_fill(spec, t, k->common);
}

static void open_case(golden_case *k, int index)
{
    const char *path = files.gl_pathv[index];
    *k = (golden_case){.c.name = path + PATTERN, .json = load(path)};
    const cJSON *asked = cJSON_GetObjectItem(k->json, "job");
    const cJSON *loss = cJSON_GetObjectItem(cJSON_GetObjectItem(asked, "train"), "loss");
    limits lim = {
        .body_bytes = 1 << 18, .runs = 1, .peak_bytes = 1 << 30, .flops = 1e12, .depth = 64};
    error err = {0};
    char *text = cJSON_PrintUnformatted(asked);
    ck_assert_ptr_nonnull(text);
    job_init(&k->j);
    if (reader_job(text, strlen(text), &lim, &k->j, &err) != ERR_OK)
        ck_abort_msg("%s: %s: %s", k->c.name, err.pointer, err.message);
    ck_assert_int_eq(k->j.n_runs, 1);
    free(text);
    k->spec = k->j.runs[0].spec;
    k->first = k->spec.measure.steps[0];
    k->profiled = cJSON_IsTrue(cJSON_GetObjectItem(k->json, "profiled"));
    k->common = strcmp(cJSON_GetStringValue(loss), "grad_common") == 0;
}

static const cJSON *part(const golden_case *k, const char *name)
{
    const cJSON *rows = cJSON_GetObjectItem(k->json, name);
    ck_assert_msg(cJSON_GetArraySize(rows) > 0, "%s has no %s", k->c.name, name);
    return rows;
}

static void close_case(golden_case *k)
{
    comparison *c = &k->c;
    if (c->wrong > SHOWN) fprintf(stderr, "%s: and %d more\n", c->name, c->wrong - SHOWN);
    printf("%s: %d values, worst %.2g of its tolerance at %s\n", c->name, c->compared, c->worst,
           c->worst_at);
    ck_assert_msg(c->wrong == 0, "%s: %d of %d values disagree", c->name, c->wrong, c->compared);
    job_deinit(&k->j);
    cJSON_Delete(k->json);
}

START_TEST(test_engine_agrees_with_pytorch)
{
    golden_case k;
    record r;
    open_case(&k, _i);
    record_run(&r, &engine_f64, &k.spec, 1, true, edit, &k);
    compare_steps(&k.c, &r, part(&k, "steps"));
    compare_sites(&k.c, &r, &k.spec, part(&k, "sites"));
    compare_gradients(&k.c, &r, k.first, part(&k, "parameters"));
    compare_final(&k.c, &r, part(&k, "parameters"));
    compare_state(&k.c, &r, cJSON_GetObjectItem(k.json, "state"));
    compare_measurements(&k.c, &r, part(&k, "measurements"));
    record_deinit(&r);
    close_case(&k);
}
END_TEST

/* What users get: nothing is kept, buffers are shared, cheap values are computed twice. */
START_TEST(test_engine_that_keeps_no_tensors_agrees_with_pytorch)
{
    golden_case k;
    record r;
    open_case(&k, _i);
    record_run(&r, &engine_f64, &k.spec, 2, false, edit, &k);
    compare_steps(&k.c, &r, part(&k, "steps"));
    compare_final(&k.c, &r, part(&k, "parameters"));
    compare_state(&k.c, &r, cJSON_GetObjectItem(k.json, "state"));
    compare_measurements(&k.c, &r, part(&k, "measurements"));
    record_deinit(&r);
    close_case(&k);
}
END_TEST

/* A number near the middle between two of a narrow format goes the other way in float32. */
static bool rounds(const run_spec *spec)
{
    return spec->rounding.activations || spec->rounding.gradients || spec->rounding.weights;
}

/* The first pass only: later ones have been through AdamW, which amplifies rounding. */
START_TEST(test_single_precision_engine_agrees_to_its_own_rounding)
{
    golden_case k;
    record r;
    open_case(&k, _i);
    k.c.instead = rounds(&k.spec) ? &TOLERANCE_ROUNDED : &TOLERANCE_SINGLE;
    k.spec.precision = PRECISION_FLOAT32;
    record_run(&r, &engine_f32, &k.spec, 1, true, edit, &k);
    double golden = number(cJSON_GetArrayItem(part(&k, "steps"), 0), 0);
    compare(&k.c, "step 0", "loss", TOLERANCE_SINGLE, fabs(golden), r.steps[0].loss, golden);
    if (k.first == 0 && !rounds(&k.spec)) {
        compare_sites(&k.c, &r, &k.spec, part(&k, "sites"));
        compare_gradients(&k.c, &r, 0, part(&k, "parameters"));
    }
    record_deinit(&r);
    close_case(&k);
}
END_TEST

/* --- the cases as a whole --- */

static bool has_case(const char *name)
{
    for (size_t i = 0; i < files.gl_pathc; i++)
        if (strcmp(files.gl_pathv[i] + PATTERN, name) == 0) return true;
    return false;
}

START_TEST(test_every_strategy_has_a_golden_by_its_name)
{
    const strategy *s = strategy_table[_i];
    char name[96];
    if (s->refused != NULL) return;
    snprintf(name, sizeof name, "named-%s.json", s->entry.name);
    for (char *c = name; *c != '\0'; c++)
        if (*c == '_') *c = '-';
    ck_assert_msg(has_case(name), "there is no tests/golden/%s", name);
}
END_TEST

static const struct {
    const char *kind;
    size_t offset; /* of the row in run_spec */
} chosen[] = {
    {"norms", offsetof(run_spec, strategy.norm)},
    {"placements", offsetof(run_spec, strategy.placement)},
    {"depth_rules", offsetof(run_spec, strategy.residual_rule)},
    {"branch_gains", offsetof(run_spec, strategy.branch_gain)},
    {"sigmas", offsetof(run_spec, strategy.sigma)},
    {"activations", offsetof(run_spec, model.activation)},
    {"positions", offsetof(run_spec, model.position)},
    {"logit_scales", offsetof(run_spec, model.logit_scale)},
    {"losses", offsetof(run_spec, train.loss)},
    {"optimizers", offsetof(run_spec, train.optimizer)},
    {"formats", offsetof(run_spec, rounding.activations)},
};
enum { N_CHOSEN = sizeof chosen / sizeof *chosen, ROWS = 64 };

START_TEST(test_every_row_of_the_registries_is_in_a_golden)
{
    static bool seen[N_CHOSEN][ROWS];
    for (int i = 0; i < (int)files.gl_pathc; i++) {
        golden_case k;
        open_case(&k, i);
        for (int r = 0; r < N_CHOSEN; r++)
            seen[r][*(const int *)((const char *)&k.spec + chosen[r].offset)] = true;
        job_deinit(&k.j);
        cJSON_Delete(k.json);
    }
    for (int r = 0; r < N_CHOSEN; r++) {
        const registry *rows = choice_registry(chosen[r].kind);
        ck_assert_int_le(rows->n, ROWS);
        for (int i = 0; i < rows->n; i++)
            ck_assert_msg(seen[r][i], "no golden has %s of the %s", rows->rows[i]->name,
                          rows->kind);
    }
}
END_TEST

int main(void)
{
    openblas_set_num_threads(1);
    if (glob("tests/golden/*.json", 0, NULL, &files) != 0) {
        fprintf(stderr, "no tests/golden/*.json: run from the root of the repository\n");
        return 1;
    }
    Suite *s = suite_create("golden");
    TCase *tc = tcase_create("cases");
    tcase_set_timeout(tc, 60);
    int n = (int)files.gl_pathc;
    tcase_add_loop_test(tc, test_engine_agrees_with_pytorch, 0, n);
    tcase_add_loop_test(tc, test_engine_that_keeps_no_tensors_agrees_with_pytorch, 0, n);
    tcase_add_loop_test(tc, test_single_precision_engine_agrees_to_its_own_rounding, 0, n);
    tcase_add_loop_test(tc, test_every_strategy_has_a_golden_by_its_name, 0, strategy_registry.n);
    tcase_add_test(tc, test_every_row_of_the_registries_is_in_a_golden);
    suite_add_tcase(s, tc);
    int failed = suite_run(s);
    globfree(&files);
    return failed;
}

/* Gradients of whole small models against differences of the loss, in the build's own precision.
 *
 * For every placement with some norms, activations and positions, each of which occurs, each
 * parameter is moved along one random direction (all entries at once) and along single random
 * entries, through the callback that loads weights; the change of the loss must be the reported
 * gradient along that direction. Nothing of the engine but its entry point is used.
 *
 * float64: fourth-order central difference, (8 (f(h) - f(-h)) - (f(2h) - f(-2h))) / 12 h; error
 * h^4 f''''' / 30 + 1e-16 / h. relu is not smooth: plain central difference with a step so small
 * that no hidden unit crosses zero. float32 sees the same code with a wide step and a wide
 * tolerance: it is here to find what was forgotten, not what is inexact.
 */
#include "core/real.h"
#include "tests/record.h"
#include "tests/spec_defaults.h"
#include "tests/suite.h"
#include "tests/tolerance.h"

enum { BATCH = 2, TOKENS = 5, WIDTH = 8, ENTRIES = 2 };

extern const engine engine_table; /* this precision's, before the build renames it */
extern void openblas_set_num_threads(int n);

/* --- a spec --- */

static int row(const char *kind, const char *name)
{
    for (const registry *const *r = engine_table.registries; *r != NULL; r++)
        if (strcmp((*r)->kind, kind) == 0) {
            int i = registry_find(*r, name);
            ck_assert_msg(i >= 0, "no '%s' in %s", name, kind);
            return i;
        }
    ck_abort_msg("no registry '%s'", kind);
}

static const char *row_name(const char *kind, int i)
{
    for (const registry *const *r = engine_table.registries; *r != NULL; r++)
        if (strcmp((*r)->kind, kind) == 0) return (*r)->rows[i % (*r)->n]->name;
    ck_abort_msg("no registry '%s'", kind);
}

static int rows_of(const char *kind)
{
    for (const registry *const *r = engine_table.registries; *r != NULL; r++)
        if (strcmp((*r)->kind, kind) == 0) return (*r)->n;
    ck_abort_msg("no registry '%s'", kind);
}

static bool is_approximate(int norm_row)
{
    for (const registry *const *r = engine_table.registries; *r; r++)
        if (strcmp((*r)->kind, "norms") == 0) return (*r)->rows[norm_row]->approximate != NULL;
    return false;
}

/* What a placement refuses is taken back. */
static void settle(run_spec *s)
{
    spec_model *m = &s->model;
    error err = {0};
    for (int i = 0; i < 6 && engine_table.check(s, &err) != ERR_OK; i++) {
        bool narrow = strcmp(row_name("placements", s->strategy.placement), "pre_crmsnorm") == 0;
        if (strcmp(err.pointer, "/strategy/norm") == 0)
            s->strategy.norm = row("norms", narrow ? "crmsnorm" : "rmsnorm");
        if (strcmp(err.pointer, "/model/qk_norm_type") == 0)
            m->qk_norm_type = row("norms", "rmsnorm");
        if (strcmp(err.pointer, "/model/parallel") == 0) m->parallel = false;
        if (strcmp(err.pointer, "/model/mixer") == 0 || strcmp(err.pointer, "/model/mlp") == 0) {
            ck_assert_msg(strstr(err.message, "needs") != NULL, "refused because: %s", err.message);
            bool chain = strncmp(row_name("placements", s->strategy.placement), "chain_", 6) == 0;
            m->mixer = chain ? row("mixers", "none") : 0;
            m->family = m->mlp = 0;
        }
        if (strcmp(err.pointer, "/model/activation") == 0)
            m->activation = row("activations", "gelu");
        if (strcmp(err.pointer, "/model/n_kv_heads") == 0) m->n_kv_heads = m->n_heads;
        if (strcmp(err.pointer, "/model/qk_norm") == 0) m->qk_norm = false;
        if (strcmp(err.pointer, "/model/v_norm") == 0) m->v_norm = false;
        if (strcmp(err.pointer, "/model/bias") == 0)
            m->bias = m->qkv_bias = m->k_bias = m->attn_out_bias = m->mlp_bias = false;
    }
}

/* Case i: each placement in so many rounds, with other norms, activations and positions in each,
 * the switches on top. In the last rounds blocks are without a mixer, without an MLP, and of a layer
 * alone, where the placement can be. */
enum { ROUNDS = 8, NO_MIXER = 5, NO_MLP = 6, LAYER = 7 };

static run_spec make_spec(int i)
{
    int n_placements = rows_of("placements");
    int round = i / n_placements, p = i % n_placements;
    run_spec s = {0};
    s.model = (spec_model){.family = row("models", "transformer"),
                           .mask = i % 5 == 3 ? MASK_BIDIRECTIONAL : MASK_CAUSAL,
                           .d_model = WIDTH,
                           .n_heads = 2,
                           .n_kv_heads = i % 4 == 1 ? 1 : 2,
                           .d_ff = 14, /* enough that relu leaves no token without a unit */
                           .vocab = 9,
                           .position = (round + p) % rows_of("positions"),
                           .rope_base = 100,
                           .activation = (2 * round + p) % rows_of("activations"),
                           .bias = i % 3 != 0,
                           .tied = i % 4 != 2,
                           .qk_norm = i % 3 == 1,
                           .v_norm = i % 5 == 1,
                           .parallel = i % 7 == 4 && round < NO_MIXER,
                           .embed_scale = i % 6 == 5 ? 1.5 : 1,
                           .embed_scale_learned = i % 12 == 5};
    s.strategy = (spec_strategy){.placement = p,
                                 .norm = (5 * round + p) % rows_of("norms"),
                                 .eps = 1e-5,
                                 .affine = i % 9 != 7,
                                 .final_norm = engine_table.placement_final_norm(p),
                                 .residual_scale = i % 5 == 2 ? 0.7 : 1,
                                 .unit_offset = i % 6 == 2,
                                 .branch_gain = i % 7 <= BRANCH_GAIN_CHANNEL ? i % 7 : 0,
                                 .fixnorm = i % 7 == 3,
                                 .resscale = round % 2 == 0,
                                 .recentre = i % 9 == 4};
    spec_defaults(&s, engine_table.head_norm(s.strategy.norm));
    if (round == NO_MIXER) s.model.mixer = row("mixers", "none");
    if (round == NO_MLP) s.model.mlp = row("mlps", "none");
    if (round == LAYER) {
        s.model.family = row("models", "mlp");
        s.model.mixer = row("mixers", "none");
        s.model.mlp = row("mlps", "layer");
        s.model.position = row("positions", "none");
        s.model.qk_norm = s.model.v_norm = false;
        if (s.model.activation == row("activations", "selu")) s.model.alpha_dropout = 0.2;
    }
    s.strategy.groups = 2; /* groups of two features would all be +-1 */
    if (strcmp(row_name("norms", s.strategy.norm), "none") == 0)
        s.strategy.alpha = 0.75; /* or the stream grows beyond what float32 can tell */
    const char *active = row_name("activations", s.model.activation);
    bool halves =
        strstr(active, "glu") != NULL; /* a product of two, which a layer leaves as it is */
    if (strcmp(row_name("placements", p), "ngpt") == 0 &&
        (strcmp(active, "relu") == 0 || (round == LAYER && halves)))
        s.model.activation = row("activations", "gelu"); /* or |M(x)|, a divisor, may be 0 */
    s.strategy.parallel_norms = i % 2 + 1;
    s.strategy.fraction = 0.5;
    s.strategy.embed_norm = i % 4 == 3 && strcmp(row_name("norms", s.strategy.norm), "none") != 0;
    s.depth = 2;
    s.init.scheme = row("inits", "gpt2");
    s.init.std = 0.02;
    s.data = (spec_data){.source = row("data_sources", "random_tokens"),
                         .batch = BATCH,
                         .seq_len = TOKENS,
                         .batches = 1,
                         .mask_fraction = 0.5};
    s.train = (spec_train){.loss = row("losses", "cross_entropy"),
                           .optimizer = row("optimizers", "sgd"),
                           .schedule = row("schedules", "constant"),
                           .lr = 0.1,
                           .momentum = 0.9,
                           .beta1 = 0.9,
                           .beta2 = 0.999,
                           .eps = 1e-8,
                           .clip = NAN};
    s.measure.n_steps = 1;
    s.measure.sites[SITE_param] = s.measure.sites[SITE_run] = true;
    s.measure.metrics[METRIC_param_grad_norm] = s.measure.metrics[METRIC_loss] = true;
    /* Running statistics are constants: there the gradient of every norm is exact. */
    s.measure.eval = is_approximate(s.strategy.norm) || i % 5 == 3;
    settle(&s);
    s.precision = REAL_EPSILON < 1e-10 ? PRECISION_FLOAT64 : PRECISION_FLOAT32;
    return s;
}

/* --- one loss with one parameter moved --- */

typedef struct move {
    const char *name; /* NULL: none */
    long at;          /* -1: along direction() in all entries */
    double step;
} move;

/* Entries of +-1: every entry of the parameter counts alike. */
static double direction(size_t i)
{
    return pattern_bits("direction", i) & 1 ? 1 : -1;
}

/* nGPT scales weights to length 1 before the first pass: along which axis. */
typedef enum unit_axis { UNIT_NONE, UNIT_ROWS, UNIT_COLUMNS } unit_axis;

static unit_axis axis_of(const run_spec *spec, const char *name, int rank)
{
    bool ngpt = strcmp(row_name("placements", spec->strategy.placement), "ngpt") == 0;
    bool table = strcmp(name, "pos.weight") == 0 || strcmp(name, "distance_bias.weight") == 0;
    if (!ngpt || rank != 2 || table) return UNIT_NONE;
    return strstr(name, "attn.o.") || strstr(name, "mlp.down.") ? UNIT_COLUMNS : UNIT_ROWS;
}

/* Entry k of line i along the axis, in a [rows, cols] matrix. */
static size_t entry_at(unit_axis axis, const size_t *dims, size_t i, size_t k)
{
    return axis == UNIT_ROWS ? i * dims[1] + k : k * dims[1] + i;
}

static void make_unit(const tensor_view *t, unit_axis axis)
{
    size_t lines = t->dims[axis == UNIT_ROWS ? 0 : 1], n = t->dims[axis == UNIT_ROWS ? 1 : 0];
    for (size_t i = 0; i < lines && axis != UNIT_NONE; i++) {
        double square = 0;
        for (size_t k = 0; k < n; k++) {
            double w = pattern_load(t, entry_at(axis, t->dims, i, k));
            square += w * w;
        }
        for (size_t k = 0; k < n; k++) {
            size_t at = entry_at(axis, t->dims, i, k);
            pattern_store(t, at, pattern_load(t, at) / sqrt(square));
        }
    }
}

static void edit(void *user, const run_spec *spec, const tensor_view *t)
{
    const move *m = user;
    pattern_fill(spec, t, false);
    make_unit(t, axis_of(spec, t->name, t->rank));
    if (m->name == NULL || strcmp(m->name, t->name) != 0) return;
    for (size_t i = 0; i < pattern_count(t); i++) {
        double by = m->at < 0 ? m->step * direction(i) : (long)i == m->at ? m->step : 0;
        pattern_store(t, i, pattern_load(t, i) + by);
    }
}

static double measured_loss(const record *r)
{
    double loss = NAN;
    for (size_t i = 0; i < r->n_measurements; i++)
        if (r->measurements[i].metric == METRIC_loss) loss = r->measurements[i].value;
    return loss;
}

static double loss_at(const run_spec *spec, const char *name, long at, double step)
{
    move m = {name, at, step};
    record r;
    record_run(&r, &engine_table, spec, 1, false, edit, &m);
    ck_assert_uint_eq(r.n_steps, 1);
    double loss = measured_loss(&r);
    record_deinit(&r);
    return loss;
}

/* Every feature of every norm has a kink. */
static bool is_kinked(const run_spec *spec)
{
    return strncmp(row_name("norms", spec->strategy.norm), "l1norm", 6) == 0;
}

static bool is_smooth(const run_spec *spec)
{
    return !is_kinked(spec) && strcmp(row_name("activations", spec->model.activation), "relu") != 0;
}

static double difference(const run_spec *spec, const char *name, long at, size_t n, double shrink)
{
    bool single = spec->precision == PRECISION_FLOAT32, smooth = is_smooth(spec);
    double h = shrink * (single ? (smooth ? 5e-3 : 2e-3) : smooth ? 2e-4 : 1e-5);
    if (at < 0) h /= sqrt((double)n);
    double near = loss_at(spec, name, at, h) - loss_at(spec, name, at, -h);
    if (!smooth) return near / (2 * h);
    double far = loss_at(spec, name, at, 2 * h) - loss_at(spec, name, at, -2 * h);
    return (8 * near - far) / (12 * h);
}

/* --- the check --- */

enum { SINGLE_LOSS = 50 }; /* float32 cannot tell differences of a larger loss */

static double along(size_t i, long at)
{
    return at < 0 ? direction(i) : (long)i == at;
}

/* Of a step along a unit line the part along the line itself is scaled away: sum over lines of
 * (w.d)(w.g). */
static double
lost_to_scaling(const record_tensor *w, const record_tensor *g, unit_axis axis, long at)
{
    size_t lines = w->dims[axis == UNIT_ROWS ? 0 : 1], n = w->dims[axis == UNIT_ROWS ? 1 : 0];
    double sum = 0;
    for (size_t i = 0; i < lines; i++) {
        double step = 0, slope = 0;
        for (size_t k = 0; k < n; k++) {
            size_t e = entry_at(axis, w->dims, i, k);
            step += w->data[e] * along(e, at);
            slope += w->data[e] * g->data[e];
        }
        sum += step * slope;
    }
    return sum;
}

/* The error of one derivative is judged against the size that a derivative of this parameter has:
 * the norm of the gradient along +-1 directions, its rms for single entries. Where that is nothing,
 * against the rounding of the loss. */
static double check_one(
    const run_spec *spec, double loss, const record_tensor *w, const record_tensor *g, long at)
{
    const char *name = g->name + strlen("grad.");
    double expected = 0, square = 0;
    for (size_t i = 0; i < g->n; i++) {
        square += g->data[i] * g->data[i];
        expected += along(i, at) * g->data[i];
    }
    unit_axis axis = axis_of(spec, name, g->rank);
    if (axis != UNIT_NONE) expected -= lost_to_scaling(w, g, axis, at);
    double size = sqrt(at < 0 ? square : square / (double)g->n);
    double found = difference(spec, name, at, g->n, 1);
    bool single = spec->precision == PRECISION_FLOAT32;
    tolerance t = single ? (tolerance){5e-2, 2e-3} : TOLERANCE_DIFFERENCE;
    t.floor *= fmax(1, fabs(loss));
    double excess = tolerance_excess(t, fmax(size, fabs(expected)), found, expected);
    /* A kink within the step, or too wide a step: shorter ones, down to the rounding of the loss.
     */
    for (double shrink = 0.125; excess > 1 && shrink > 0.03; shrink /= 4) {
        found = difference(spec, name, at, g->n, shrink);
        excess = tolerance_excess(t, fmax(size, fabs(expected)), found, expected);
    }
    ck_assert_msg(excess <= 1, "%s %s %s %s: %s entry %ld: difference %.12g, gradient %.12g",
                  row_name("placements", spec->strategy.placement),
                  row_name("norms", spec->strategy.norm),
                  row_name("positions", spec->model.position),
                  row_name("activations", spec->model.activation), name, at, found, expected);
    return excess;
}

START_TEST(test_gradients_are_the_differences_of_the_loss)
{
    run_spec spec = make_spec(_i);
    /* A step that single precision can see crosses kinks; the same code is checked in double. */
    if (spec.precision == PRECISION_FLOAT32 && is_kinked(&spec)) return;
    move none = {0};
    record r;
    record_run(&r, &engine_table, &spec, 1, true, edit, &none);
    double worst = 0, loss = measured_loss(&r);
    int checked = 0;
    if (spec.precision == PRECISION_FLOAT32 && fabs(loss) > SINGLE_LOSS) {
        printf("case %d: loss %g, left to float64\n", _i, loss);
        record_deinit(&r);
        return;
    }
    for (size_t i = 0; i < r.n_tensors; i++) {
        const record_tensor *t = &r.tensors[i];
        const record_tensor *w = record_find(&r, TENSOR_FINAL, -1, t->name + strlen("grad."));
        if (t->when != TENSOR_PROBE || strncmp(t->name, "grad.", 5) != 0 || !w) continue;
        worst = fmax(worst, check_one(&spec, loss, w, t, -1));
        for (size_t k = 0; k < ENTRIES; k++)
            worst = fmax(worst, check_one(&spec, loss, w, t, pattern_bits(t->name, k) % t->n));
        checked++;
    }
    bool whole = !spec.model.mixer && !spec.model.mlp; /* else half a block has parameters */
    bool layer = spec.model.mlp == row("mlps", "layer");
    ck_assert_int_ge(checked, whole ? 13 : layer ? 2 : 4);
    printf("case %d: %d parameters, worst %.2g of the tolerance\n", _i, checked, worst);
    record_deinit(&r);
}
END_TEST

int main(void)
{
    openblas_set_num_threads(1);
    Suite *s = suite_create("gradcheck");
    TCase *tc = tcase_create("models");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_gradients_are_the_differences_of_the_loss, 0,
                        rows_of("placements") * ROUNDS);
    suite_add_tcase(s, tc);
    return suite_run(s);
}

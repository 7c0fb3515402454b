/* Measurements that need passes of their own (core/run/extra.h): that they leave no trace, do not
 * depend on threads, cost what was estimated, stop when asked, and agree with closed forms. Their
 * agreement with whole Jacobians and Hessians of PyTorch is in the goldens extra-*.
 */
#include "server/job/field.h"
#include "server/job/reader.h"
#include "server/job/strategy.h"
#include "tests/record.h"
#include "tests/suite.h"
#include "tests/tolerance.h"

extern void openblas_set_num_threads(int n);

typedef struct extra_run {
    job j;
    record r;
} extra_run;

/* Members of model, measure and the job are JSON, each after a comma. */
typedef struct extra_net {
    const char *strategy, *model, *measure, *job;
    int depth, batch, length, width, steps;
    bool single;
    int threads;
} extra_net;

static void read_net(const extra_net *n, job *j)
{
    char text[2048];
    limits lim = {
        .body_bytes = 1 << 18, .runs = 1, .peak_bytes = 1 << 30, .flops = 1e14, .depth = 64};
    error err = {0};
    snprintf(text, sizeof text,
             "{\"model\":{\"d_model\":%d,\"n_heads\":2,\"d_ff\":16,\"vocab\":17%s},"
             "\"strategy\":%s,\"depth\":%d,\"data\":{\"batch\":%d,\"seq_len\":%d,\"batches\":2},"
             "\"train\":{\"steps\":%d,\"lr\":0.01},\"measure\":{\"steps\":[0%s]%s},\"seeds\":[7],"
             "\"precision\":\"%s\"%s}",
             n->width, n->model ? n->model : "", n->strategy, n->depth, n->batch, n->length,
             n->steps, n->steps ? ",1" : "", n->measure, n->single ? "float32" : "float64",
             n->job ? n->job : "");
    job_init(j);
    if (reader_job(text, strlen(text), &lim, j, &err) != ERR_OK)
        ck_abort_msg("%s: %s\n%s", err.pointer, err.message, text);
}

static void run_net(extra_run *out, const extra_net *n)
{
    read_net(n, &out->j);
    const run_spec *spec = &out->j.runs[0].spec;
    record_run(&out->r, n->single ? &engine_f32 : &engine_f64, spec, n->threads ? n->threads : 1,
               false, NULL, NULL);
}

static void close_net(extra_run *r)
{
    record_deinit(&r->r);
    job_deinit(&r->j);
}

static const measurement *find(const extra_run *r, int step, int layer, metric m)
{
    for (size_t i = 0; i < r->r.n_measurements; i++) {
        const measurement *x = &r->r.measurements[i];
        if (x->step == step && x->layer == layer && x->metric == m) return x;
    }
    ck_abort_msg("no %s at step %d, layer %d", metric_registry.rows[m]->name, step, layer);
    return NULL;
}

static double value_at(const extra_run *r, int layer, metric m)
{
    const measurement *x = find(r, 0, layer, m);
    ck_assert_msg(x->reason == REASON_NONE, "%s at layer %d: %s", metric_registry.rows[m]->name,
                  layer, reason_name(x->reason));
    return x->value;
}

static bool same_measurement(const measurement *a, const measurement *b)
{
    return a->step == b->step && a->layer == b->layer && a->site == b->site &&
           a->metric == b->metric && a->param == b->param && a->reason == b->reason &&
           memcmp(&a->value, &b->value, sizeof a->value) == 0;
}

#define EVERY "\"jacobian\",\"noise\",\"sharpness\""

/* --- no trace ------------------------------------------------------------------------------- */

/* All of `few` is in `many`, to the bit and in order. */
static void assert_contains(const extra_run *many, const extra_run *few, const char *name)
{
    size_t at = 0;
    for (size_t i = 0; i < few->r.n_measurements; i++, at++) {
        const measurement *x = &few->r.measurements[i];
        while (at < many->r.n_measurements && !same_measurement(&many->r.measurements[at], x)) at++;
        ck_assert_msg(at < many->r.n_measurements, "%s: %s at step %d, layer %d differs", name,
                      metric_registry.rows[x->metric]->name, x->step, x->layer);
    }
    ck_assert_uint_eq(many->r.n_steps, few->r.n_steps);
    for (size_t i = 0; i < few->r.n_steps; i++)
        ck_assert_mem_eq(&many->r.steps[i], &few->r.steps[i], sizeof many->r.steps[i]);
    ck_assert_uint_eq(many->r.n_tensors, few->r.n_tensors);
    for (size_t i = 0; i < few->r.n_tensors; i++)
        ck_assert_mem_eq(many->r.tensors[i].data, few->r.tensors[i].data,
                         few->r.tensors[i].n * sizeof(double));
}

static extra_net net_of_strategy(int row, const char *measure)
{
    static char name[96];
    snprintf(name, sizeof name, "\"%s\"", strategy_registry.rows[row]->name);
    return (extra_net){.strategy = name,
                       .measure = measure,
                       .depth = 3,
                       .batch = 2,
                       .length = 5,
                       .width = 12,
                       .steps = 3,
                       .single = true};
}

/* Under every strategy of the catalogue, with three updates between and after. */
START_TEST(test_extras_change_no_bit_of_the_run)
{
    extra_run with, without;
    if (strategy_table[_i]->refused) return;
    extra_net n = net_of_strategy(
        _i, ",\"metrics\":[\"moments\",\"gradient\",\"parameter\",\"loss\"," EVERY "]");
    run_net(&with, &n);
    n.measure = ",\"metrics\":[\"moments\",\"gradient\",\"parameter\",\"loss\"]";
    run_net(&without, &n);
    ck_assert_uint_gt(with.r.n_measurements, without.r.n_measurements);
    assert_contains(&with, &without, n.strategy);
    close_net(&with);
    close_net(&without);
}
END_TEST

START_TEST(test_extras_do_not_depend_on_threads)
{
    extra_run one, three;
    extra_net n = {.strategy = "\"peri_ln\"",
                   .measure = ",\"metrics\":[" EVERY "],\"iterations\":5",
                   .depth = 2,
                   .batch = 8,
                   .length = 64,
                   .width = 64,
                   .single = true};
    run_net(&one, &n);
    n.threads = 3;
    run_net(&three, &n);
    ck_assert_uint_eq(one.r.n_measurements, three.r.n_measurements);
    for (size_t i = 0; i < one.r.n_measurements; i++)
        ck_assert(same_measurement(&one.r.measurements[i], &three.r.measurements[i]));
    close_net(&one);
    close_net(&three);
}
END_TEST

/* --- jacobian ------------------------------------------------------------------------------- */

#define WHOLE ",\"metrics\":[\"jacobian\"],\"probes\":1024,\"iterations\":100"

/* The last block's Jacobian is the Jacobian to the end, and what is known of every one holds: chi
 * is at most sigma^2, at least sigma^2/n, and n chi^2 (1 + spread) at most chi sigma^2. */
static void check_block(const extra_run *r, int layer, double n, const char *name)
{
    double chi = value_at(r, layer, METRIC_jac_chi), spread = value_at(r, layer, METRIC_jac_spread);
    const measurement *top = find(r, 0, layer, METRIC_jac_sigma_max);
    ck_assert_msg(spread > -1e-9, "%s: spread %g", name, spread);
    if (top->reason == REASON_ASYMMETRIC) return;
    double square = top->value * top->value;
    ck_assert_msg(chi <= square * (1 + 1e-9) && n * chi >= square * (1 - 1e-9),
                  "%s layer %d: chi %g, sigma^2 %g", name, layer, chi, square);
}

/* Strategies whose backward pass is not the transpose of the Jacobian, at their own start. */
static bool is_inexact(const char *name)
{
    static const char *const names[] = {"powernorm", "powernorm_v", "unifiednorm"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++)
        if (strncmp(name, names[i], strlen(names[i])) == 0) return true;
    return false;
}

START_TEST(test_jacobians_of_every_strategy)
{
    extra_run r;
    if (strategy_table[_i]->refused) return;
    extra_net n = net_of_strategy(_i, WHOLE);
    const char *name = strategy_registry.rows[_i]->name;
    n.single = false, n.steps = 0, n.length = 4, n.width = 8;
    run_net(&r, &n);
    const spec_measure *m = &r.j.runs[0].spec.measure;
    ck_assert_int_eq(m->probes, 1024);
    for (int l = 1; l <= 3; l++) {
        check_block(&r, l, 64, name);
        bool refused = find(&r, 0, l, METRIC_jac_sigma_max)->reason == REASON_ASYMMETRIC;
        ck_assert_msg(!refused || is_inexact(name), "%s is not symmetric", name);
        printf("%s %d chi %.4g sigma %.4g spread %.3g end %.4g%s\n", name, l,
               value_at(&r, l, METRIC_jac_chi), find(&r, 0, l, METRIC_jac_sigma_max)->value,
               value_at(&r, l, METRIC_jac_spread), value_at(&r, l - 1, METRIC_jac_end_chi),
               refused ? " asymmetric" : "");
    }
    double last = value_at(&r, 3, METRIC_jac_chi), end = value_at(&r, 2, METRIC_jac_end_chi);
    ck_assert_msg(fabs(last - end) <= 1e-12 * last, "%s: %.17g and %.17g", name, last, end);
    close_net(&r);
}
END_TEST

/* A block that only norms: |J|_F^2 = (d - 2)/sigma^2, and 1/sigma on top; RMSNorm (d - 1)/rms^2.
 * The second norm of a block finds what the first made, and changes nothing. One token: sigma^2 is
 * var_feat. In the second block sigma is 1 for any number of tokens. */
static const struct {
    const char *strategy;
    int lost; /* directions */
    metric square;
} norming[] = {
    {"{\"name\":\"post_ln\",\"affine\":false,\"eps\":0,\"residual_scale\":0}", 2, METRIC_var_feat},
    {"{\"name\":\"post_ln\",\"norm\":\"rmsnorm\",\"affine\":false,\"eps\":0,\"residual_scale\":0}",
     1, METRIC_rms},
};

START_TEST(test_a_block_that_norms_has_the_jacobian_of_its_norm)
{
    enum { WIDTH = 64 };
    extra_run r;
    extra_net n = {.strategy = norming[_i].strategy,
                   .measure = ",\"metrics\":[\"jacobian\",\"moments\"],\"probes\":1024",
                   .depth = 2,
                   .batch = 1,
                   .length = 1,
                   .width = WIDTH};
    for (n.length = 1; n.length <= 5; n.length += 4) {
        run_net(&r, &n);
        double square = value_at(&r, 0, norming[_i].square), kept = WIDTH - norming[_i].lost;
        if (norming[_i].square == METRIC_rms) square *= square;
        if (n.length == 1) {
            ck_assert_double_eq_tol(value_at(&r, 1, METRIC_jac_chi), kept / WIDTH / square,
                                    1e-9 / square);
            ck_assert_double_eq_tol(value_at(&r, 1, METRIC_jac_sigma_max), 1 / sqrt(square),
                                    1e-9 / sqrt(square));
        }
        ck_assert_double_eq_tol(value_at(&r, 2, METRIC_jac_chi), kept / WIDTH, 1e-9);
        ck_assert_double_eq_tol(value_at(&r, 2, METRIC_jac_sigma_max), 1, 1e-9);
        ck_assert_double_eq_tol(value_at(&r, 2, METRIC_jac_spread), WIDTH / kept - 1, 1e-9);
        close_net(&r);
    }
}
END_TEST

/* A few probes against all of them, in units of the error that they state. */
START_TEST(test_probes_are_as_good_as_they_say)
{
    extra_run few, all;
    extra_net n = {.strategy = "\"post_ln\"",
                   .model = ",\"bias\":true",
                   .measure = WHOLE,
                   .depth = 6,
                   .batch = 2,
                   .length = 8,
                   .width = 16};
    run_net(&all, &n);
    n.measure = ",\"metrics\":[\"jacobian\"],\"probes\":8";
    run_net(&few, &n);
    double sum = 0;
    for (int l = 1; l <= n.depth; l++) {
        double truth = value_at(&all, l, METRIC_jac_chi),
               stated = value_at(&few, l, METRIC_jac_chi_error);
        double off = (value_at(&few, l, METRIC_jac_chi) / truth - 1) / stated;
        double top =
            value_at(&few, l, METRIC_jac_sigma_max) / value_at(&all, l, METRIC_jac_sigma_max);
        ck_assert_double_gt(stated, 0.005);
        ck_assert_double_lt(stated, 0.2);
        ck_assert_double_lt(fabs(off), 4);
        ck_assert_double_lt(top, 1 + 1e-9);
        ck_assert_double_gt(top, 0.98);
        sum += off * off;
    }
    ck_assert_double_gt(sum / n.depth, 0.1);
    ck_assert_double_lt(sum / n.depth, 4);
    close_net(&few);
    close_net(&all);
}
END_TEST

/* The change that is told is that from one iteration fewer, which the same start makes again: of
 * the Hessian exactly, of a Jacobian before the last power step, which brings both nearer. */
START_TEST(test_the_last_change_is_that_of_the_last_iteration)
{
    enum { FEW = 6 };
    static const struct {
        int layer;
        metric of, change, iterations;
        double apart;
    } told[] = {
        {1, METRIC_jac_sigma_max, METRIC_jac_sigma_change, METRIC_jac_iterations, 0.5},
        {2, METRIC_jac_sigma_max, METRIC_jac_sigma_change, METRIC_jac_iterations, 0.5},
        {-1, METRIC_hessian_max, METRIC_hessian_change, METRIC_hessian_iterations, 1e-9},
    };
    extra_run few, more;
    extra_net n = {.strategy = "\"pre_ln\"",
                   .measure = ",\"metrics\":[\"jac_sigma_max\",\"jac_sigma_change\","
                              "\"jac_iterations\",\"hessian_max\",\"hessian_change\","
                              "\"hessian_iterations\"],\"iterations\":6",
                   .depth = 2,
                   .batch = 1,
                   .length = 8,
                   .width = 16};
    run_net(&few, &n);
    n.measure = ",\"metrics\":[\"jac_sigma_max\",\"jac_sigma_change\",\"jac_iterations\","
                "\"hessian_max\",\"hessian_change\",\"hessian_iterations\"],\"iterations\":7";
    run_net(&more, &n);
    for (size_t i = 0; i < sizeof told / sizeof *told; i++) {
        int l = told[i].layer;
        double before = value_at(&few, l, told[i].of), after = value_at(&more, l, told[i].of);
        ck_assert_double_gt(after, before);
        ck_assert_double_eq_tol(value_at(&more, l, told[i].change) * after / (after - before), 1,
                                told[i].apart);
        ck_assert_double_eq(value_at(&few, l, told[i].iterations), FEW);
        ck_assert_double_eq(value_at(&more, l, told[i].iterations), FEW + 1);
    }
    close_net(&few);
    close_net(&more);
}
END_TEST

/* Single precision finds the same largest singular values to the error of its differences, squared,
 * and of Lanczos. */
START_TEST(test_single_precision_finds_the_same_singular_values)
{
    extra_run single, both;
    extra_net n = {.strategy = "\"peri_ln\"",
                   .measure = ",\"metrics\":[\"jacobian\"],\"iterations\":40",
                   .depth = 3,
                   .batch = 2,
                   .length = 8,
                   .width = 16};
    run_net(&both, &n);
    n.single = true;
    run_net(&single, &n);
    for (int l = 1; l <= n.depth; l++) {
        double truth = value_at(&both, l, METRIC_jac_sigma_max);
        ck_assert_double_eq_tol(value_at(&single, l, METRIC_jac_sigma_max), truth, 1e-5 * truth);
        truth = value_at(&both, l, METRIC_jac_chi);
        ck_assert_double_eq_tol(value_at(&single, l, METRIC_jac_chi), truth, 1e-5 * truth);
    }
    close_net(&single);
    close_net(&both);
}
END_TEST

/* --- noise and sharpness: what cannot be measured -------------------------------------------- */

static reason reason_at(const extra_run *r, metric m)
{
    return find(r, 0, -1, m)->reason;
}

/* A norm over the batch couples sequences, unless it uses what it has stored; one sequence has
 * nothing to differ from; the backward pass of powernorm is not that of its forward pass. */
START_TEST(test_what_cannot_be_measured_says_why)
{
    extra_run r;
    extra_net n = {.strategy = "\"batchnorm\"",
                   .measure = ",\"metrics\":[" EVERY "]",
                   .depth = 1,
                   .batch = 3,
                   .length = 4,
                   .width = 8};
    run_net(&r, &n);
    ck_assert_int_eq(reason_at(&r, METRIC_noise_scale), REASON_COUPLED);
    ck_assert_int_eq(reason_at(&r, METRIC_grad_cos_min), REASON_COUPLED);
    ck_assert_int_eq(reason_at(&r, METRIC_hessian_max), REASON_NONE);
    close_net(&r);
    n.measure = ",\"eval\":true,\"metrics\":[" EVERY "]";
    run_net(&r, &n);
    ck_assert_int_eq(reason_at(&r, METRIC_noise_trace), REASON_NONE);
    ck_assert_int_eq(reason_at(&r, METRIC_hessian_max), REASON_NONE);
    close_net(&r);
    n.strategy = "\"powernorm\"", n.measure = ",\"metrics\":[" EVERY "]";
    run_net(&r, &n);
    ck_assert_int_eq(reason_at(&r, METRIC_hessian_max), REASON_ASYMMETRIC);
    ck_assert_int_eq(reason_at(&r, METRIC_hessian_min), REASON_ASYMMETRIC);
    close_net(&r);
    n.strategy = "\"pre_ln\"", n.batch = 1;
    run_net(&r, &n);
    ck_assert_int_eq(reason_at(&r, METRIC_noise_grad_sq), REASON_ONE_SEQUENCE);
    close_net(&r);
}
END_TEST

/* In single precision differences of gradients lose half the digits; the ends stay good to 1e-3. */
START_TEST(test_single_precision_finds_the_same_curvature)
{
    extra_run single, both;
    const metric all[] = {METRIC_hessian_max, METRIC_hessian_min, METRIC_hessian_grad,
                          METRIC_noise_grad_sq, METRIC_noise_trace};
    extra_net n = {.strategy = "\"peri_ln\"",
                   .measure = ",\"metrics\":[\"sharpness\",\"noise\"],\"iterations\":40",
                   .depth = 3,
                   .batch = 4,
                   .length = 16,
                   .width = 16};
    run_net(&both, &n);
    n.single = true;
    run_net(&single, &n);
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) {
        double truth = value_at(&both, -1, all[i]);
        ck_assert_double_eq_tol(value_at(&single, -1, all[i]), truth, 1e-3 * fabs(truth));
    }
    for (int l = 1; l <= n.depth; l++) {
        double truth = value_at(&both, l, METRIC_hessian_max_block);
        ck_assert_double_eq_tol(value_at(&single, l, METRIC_hessian_max_block), truth,
                                1e-3 * truth);
    }
    close_net(&single);
    close_net(&both);
}
END_TEST

/* --- the run loop --------------------------------------------------------------------------- */

typedef struct watch {
    int calls, stop_at;
    double last;
    bool backwards;
} watch;

static bool on_progress(void *user, const progress *p)
{
    watch *w = user;
    w->backwards |= p->fraction < w->last - 1e-12 || p->fraction > 1 + 1e-9;
    w->last = p->fraction;
    return ++w->calls != w->stop_at;
}

static err_code watched(const extra_net *n, watch *w)
{
    job j;
    read_net(n, &j);
    error err = {0};
    estimate cost;
    team t;
    run_summary summary;
    ck_assert_int_eq(engine_f64.estimate(&j.runs[0].spec, 1, false, &cost, &err), ERR_OK);
    size_t bytes = (cost.peak_bytes + 63) / 64 * 64;
    void *memory = aligned_alloc(64, bytes);
    ck_assert_ptr_nonnull(memory);
    ck_assert_int_eq(team_start(&t, 1, &err), ERR_OK);
    sink s = {.user = w, .progress = on_progress};
    run_input input = {0};
    err_code code = engine_f64.run(&j.runs[0].spec, &input, memory, bytes, &t, &s, &summary, &err);
    team_stop(&t);
    free(memory);
    job_deinit(&j);
    return code;
}

static const extra_net watched_net = {.strategy = "\"pre_ln\"",
                                      .measure = ",\"metrics\":[" EVERY "],\"iterations\":3",
                                      .depth = 2,
                                      .batch = 2,
                                      .length = 4,
                                      .width = 8,
                                      .steps = 1};

/* The share of the work that progress reports grows to 1, in steps that the estimate explains. */
START_TEST(test_progress_covers_the_extras)
{
    watch w = {0};
    ck_assert_int_eq(watched(&watched_net, &w), ERR_OK);
    ck_assert(!w.backwards);
    ck_assert_double_eq_tol(w.last, 1, 1e-9);
}
END_TEST

START_TEST(test_extras_stop_when_asked)
{
    watch all = {0};
    watched(&watched_net, &all);
    for (int stop = 1; stop < all.calls; stop += 1 + all.calls / 60) {
        watch w = {.stop_at = stop};
        ck_assert_int_eq(watched(&watched_net, &w), ERR_CANCELLED);
        ck_assert_int_eq(w.calls, stop);
    }
}
END_TEST

/* probes and iterations mean nothing where nothing needs them. */
START_TEST(test_fields_without_their_metrics_are_refused)
{
    static const struct {
        const char *measure, *pointer;
    } bad[] = {{"\"metrics\":[\"loss\"],\"probes\":4", "/measure/probes"},
               {"\"metrics\":[\"loss\"],\"iterations\":4", "/measure/iterations"},
               {"\"metrics\":[\"jacobian\"],\"probes\":1", "/measure/probes"},
               {"\"metrics\":[\"jacobian\"],\"iterations\":101", "/measure/iterations"}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        char text[256];
        limits lim = {
            .body_bytes = 1 << 18, .runs = 9, .peak_bytes = 1 << 30, .flops = 1e14, .depth = 64};
        error err = {0};
        job j;
        snprintf(text, sizeof text, "{\"measure\":{%s}}", bad[i].measure);
        job_init(&j);
        ck_assert_int_ne(reader_job(text, strlen(text), &lim, &j, &err), ERR_OK);
        ck_assert_str_eq(err.pointer, bad[i].pointer);
        job_deinit(&j);
    }
}
END_TEST

/* What estimate says the passes cost is what they do: here by their number. */
START_TEST(test_estimate_counts_the_extras)
{
    job with, without;
    error err = {0};
    estimate a, b;
    extra_net n = watched_net;
    n.measure = ",\"metrics\":[\"jac_chi\"],\"probes\":30";
    read_net(&n, &with);
    n.measure = ",\"metrics\":[\"loss\"]";
    read_net(&n, &without);
    ck_assert_int_eq(engine_f64.estimate(&with.runs[0].spec, 1, false, &a, &err), ERR_OK);
    ck_assert_int_eq(engine_f64.estimate(&without.runs[0].spec, 1, false, &b, &err), ERR_OK);
    /* two passes of the loop; at two steps a forward pass and 30 backward passes of values */
    ck_assert_double_eq_tol(a.flops / b.flops, (2 + 2 * (1 + 30) / 3.0) / 2, 1e-9);
    ck_assert_uint_gt(a.peak_bytes, b.peak_bytes);
    job_deinit(&with);
    job_deinit(&without);
}
END_TEST

int main(void)
{
    openblas_set_num_threads(1);
    int strategies = strategy_registry.n;
    Suite *s = suite_create("extra");
    TCase *tc = tcase_create("extra");
    tcase_set_timeout(tc, 60);
    tcase_add_loop_test(tc, test_extras_change_no_bit_of_the_run, 0, strategies);
    tcase_add_test(tc, test_extras_do_not_depend_on_threads);
    tcase_add_loop_test(tc, test_jacobians_of_every_strategy, 0, strategies);
    tcase_add_loop_test(tc, test_a_block_that_norms_has_the_jacobian_of_its_norm, 0,
                        sizeof norming / sizeof *norming);
    tcase_add_test(tc, test_probes_are_as_good_as_they_say);
    tcase_add_test(tc, test_the_last_change_is_that_of_the_last_iteration);
    tcase_add_test(tc, test_single_precision_finds_the_same_singular_values);
    tcase_add_test(tc, test_what_cannot_be_measured_says_why);
    tcase_add_test(tc, test_single_precision_finds_the_same_curvature);
    tcase_add_test(tc, test_progress_covers_the_extras);
    tcase_add_test(tc, test_extras_stop_when_asked);
    tcase_add_test(tc, test_estimate_counts_the_extras);
    tcase_add_test(tc, test_fields_without_their_metrics_are_refused);
    suite_add_tcase(s, tc);
    return suite_run(s);
}

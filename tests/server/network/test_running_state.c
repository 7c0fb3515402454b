/* Whole runs with norms that remember: threads and repetition change no bit, an eval probe changes
 * nothing that follows, state goes out and in with the weights, and constants that are profiled
 * once are what the initial tensors say.
 */
#include "server/job/reader.h"
#include "tests/record.h"
#include "tests/suite.h"

extern void openblas_set_num_threads(int n);

static const char *const norms[] = {"batchnorm",   "powernorm_v", "powernorm",
                                    "unifiednorm", "repbn",       "prepbn"};
enum { NORMS = sizeof norms / sizeof *norms };

typedef struct setup {
    const char *norm;
    const char *placement; /* peri_ln */
    const char *strategy;  /* further members, each after a comma */
    const char *measure;
    int steps, batch;
    double lr;
    bool single;
} setup;

static const char job_text[] =
    "{\"model\":{\"d_model\":16,\"n_heads\":2,\"d_ff\":24,\"vocab\":13,\"bias\":true},"
    "\"strategy\":{\"placement\":\"%s\",\"norm\":\"%s\"%s},\"depth\":2,"
    "\"data\":{\"source\":\"random_tokens\",\"batch\":%d,\"seq_len\":48,\"batches\":3},"
    "\"train\":{\"steps\":%d,\"lr\":%g},\"measure\":{\"steps\":[0,%d]%s},\"seeds\":[3],"
    "\"precision\":\"%s\"}";

static run_spec spec_of(const setup *s)
{
    char text[1024];
    limits lim = {
        .body_bytes = 1 << 18, .runs = 1, .peak_bytes = 1 << 30, .flops = 1e12, .depth = 64};
    error err = {0};
    job j;
    snprintf(text, sizeof text, job_text, s->placement ? s->placement : "peri_ln", s->norm,
             s->strategy ? s->strategy : "", s->batch ? s->batch : 4, s->steps,
             s->lr > 0 ? s->lr : 0.01, s->steps ? s->steps : 1, s->measure ? s->measure : "",
             s->single ? "float32" : "float64");
    if (!s->steps) memcpy(strstr(text, "[0,1]"), "[0  ]", 5);
    job_init(&j);
    if (reader_job(text, strlen(text), &lim, &j, &err) != ERR_OK)
        ck_abort_msg("%s: %s\n%s", err.pointer, err.message, text);
    run_spec spec = j.runs[0].spec;
    job_deinit(&j);
    return spec;
}

static void run(record *r, const setup *s, int threads, record_edit *edit, void *user)
{
    run_spec spec = spec_of(s);
    record_run(r, engine_for(spec.precision), &spec, threads, false, edit, user);
    r->spec = NULL; /* of this function */
}

static bool same(double a, double b)
{
    return memcmp(&a, &b, sizeof a) == 0;
}

static void assert_same_steps(const record *a, const record *b)
{
    ck_assert_uint_eq(a->n_steps, b->n_steps);
    for (size_t i = 0; i < a->n_steps; i++) ck_assert(same(a->steps[i].loss, b->steps[i].loss));
}

static void assert_same_tensors(const record *a, const record *b)
{
    ck_assert_uint_eq(a->n_tensors, b->n_tensors);
    for (size_t i = 0; i < a->n_tensors; i++) {
        ck_assert_str_eq(a->tensors[i].name, b->tensors[i].name);
        ck_assert_mem_eq(a->tensors[i].data, b->tensors[i].data, a->tensors[i].n * sizeof(double));
    }
}

static void assert_same_measurements(const record *a, const record *b)
{
    ck_assert_uint_eq(a->n_measurements, b->n_measurements);
    for (size_t i = 0; i < a->n_measurements; i++)
        ck_assert(same(a->measurements[i].value, b->measurements[i].value));
}

static void assert_same(const record *a, const record *b)
{
    assert_same_steps(a, b);
    assert_same_tensors(a, b);
    assert_same_measurements(a, b);
}

/* --- bits --- */

START_TEST(test_number_of_threads_changes_no_bit)
{
    /* enough tokens for several panels; frozen norms and some of the batch in one network */
    setup s = {.norm = norms[_i % NORMS], .steps = 4, .batch = 33, .single = _i >= NORMS};
    record one, other;
    run(&one, &s, 1, NULL, NULL);
    ck_assert_uint_gt(one.n_measurements, 100);
    for (int threads = 1; threads <= 4; threads *= 2) {
        run(&other, &s, threads, NULL, NULL);
        assert_same(&one, &other);
        record_deinit(&other);
    }
    record_deinit(&one);
}
END_TEST

START_TEST(test_profiled_constants_do_not_depend_on_threads)
{
    setup s = {.norm = "layernorm",
               .strategy = ",\"overrides\":[{\"layers\":1,\"sigma\":\"frozen\"},"
                           "{\"layers\":2,\"norm\":\"batchnorm\"}]",
               .steps = 2,
               .batch = 33};
    record one, other;
    run(&one, &s, 1, NULL, NULL);
    run(&other, &s, 4, NULL, NULL);
    assert_same(&one, &other);
    ck_assert_ptr_nonnull(record_find(&one, TENSOR_FINAL, -1, "state.blocks.0.attn.norm_in.sigma"));
    record_deinit(&other);
    record_deinit(&one);
}
END_TEST

/* --- eval --- */

static double loss_at(const record *r, int step)
{
    for (size_t i = 0; i < r->n_measurements; i++)
        if (r->measurements[i].metric == METRIC_loss && r->measurements[i].step == step)
            return r->measurements[i].value;
    ck_abort_msg("no loss at step %d", step);
}

START_TEST(test_an_eval_probe_changes_nothing_that_follows)
{
    setup s = {.norm = norms[_i], .steps = 5, .strategy = ",\"stat_keep\":0.5"};
    setup e = s;
    record plain, eval;
    e.measure = ",\"eval\":true";
    run(&plain, &s, 1, NULL, NULL);
    run(&eval, &e, 1, NULL, NULL);
    assert_same_steps(&plain, &eval);
    assert_same_tensors(&plain, &eval);
    ck_assert(same(loss_at(&plain, 0), plain.steps[0].loss));
    ck_assert(!same(loss_at(&eval, 0), eval.steps[0].loss));
    record_deinit(&eval);
    record_deinit(&plain);
}
END_TEST

/* Without running statistics there is nothing else to measure. */
START_TEST(test_eval_of_layernorm_is_what_it_was)
{
    setup s = {.norm = "layernorm", .steps = 2}, e = s;
    record plain, eval;
    e.measure = ",\"eval\":true";
    run(&plain, &s, 1, NULL, NULL);
    run(&eval, &e, 1, NULL, NULL);
    assert_same(&plain, &eval);
    record_deinit(&eval);
    record_deinit(&plain);
}
END_TEST

/* --- out and in --- */

static void load_final(void *user, const run_spec *spec, const tensor_view *t)
{
    const record_tensor *from = record_find(user, TENSOR_FINAL, -1, t->name);
    (void)spec;
    for (size_t i = 0; from && i < from->n; i++) pattern_store(t, i, from->data[i]);
}

/* Eval after training is eval of what training left, loaded elsewhere. The batch of a step goes
 * round: step 3 is step 0 again. */
START_TEST(test_state_goes_out_and_in_with_the_weights)
{
    setup s = {.norm = norms[_i], .steps = 3, .measure = ",\"eval\":true"}, again = s;
    record trained, loaded;
    run(&trained, &s, 1, NULL, NULL);
    again.steps = 0;
    run(&loaded, &again, 1, load_final, &trained);
    ck_assert(same(loss_at(&trained, 3), loss_at(&loaded, 0)));
    record_deinit(&loaded);
    record_deinit(&trained);
}
END_TEST

static void load_other_weights(void *user, const run_spec *spec, const tensor_view *t)
{
    const bool *state_too = user;
    bool is_state = strncmp(t->name, "state.", 6) == 0;
    if (is_state && *state_too) pattern_store(t, 0, 2.5);
    if (!is_state) pattern_fill(spec, t, false);
}

/* The constants belong to the weights: measured again for others, unless these bring their own. */
START_TEST(test_frozen_norms_are_profiled_again_for_loaded_weights)
{
    setup s = {.norm = "rmsnorm", .strategy = ",\"sigma\":\"frozen\"", .steps = 1};
    record own, other, brought;
    bool state_too = false;
    const char *name = "state.blocks.1.mlp.norm_in.sigma";
    run(&own, &s, 1, NULL, NULL);
    run(&other, &s, 1, load_other_weights, &state_too);
    state_too = true;
    run(&brought, &s, 1, load_other_weights, &state_too);
    double a = record_need(&own, TENSOR_FINAL, -1, name)->data[0],
           b = record_need(&other, TENSOR_FINAL, -1, name)->data[0];
    ck_assert_double_gt(a, 0);
    ck_assert_double_gt(fabs(a - b), 0.01);
    ck_assert_double_eq(record_need(&brought, TENSOR_FINAL, -1, name)->data[0], 2.5);
    record_deinit(&brought);
    record_deinit(&other);
    record_deinit(&own);
}
END_TEST

/* What the initial tensors say is what the profile found: no pass before it, and the same again. */
static void note_omega(void *user, const run_spec *spec, const tensor_view *t)
{
    double *omega = user;
    (void)spec;
    if (strcmp(t->name, "blocks.0.attn.omega") == 0) omega[0] = pattern_load(t, 0);
    if (strcmp(t->name, "blocks.1.mlp.omega") == 0) omega[1] = pattern_load(t, 5);
}

START_TEST(test_initial_tensors_show_what_was_profiled)
{
    setup s = {.norm = "layernorm", .placement = "admin", .steps = 0};
    double first[2] = {0}, second[2] = {0};
    record r;
    run(&r, &s, 1, note_omega, first);
    record_deinit(&r);
    run(&r, &s, 3, note_omega, second);
    record_deinit(&r);
    ck_assert_double_eq(first[0], 1);
    ck_assert(first[1] > 0 && first[1] != 1);
    ck_assert_mem_eq(first, second, sizeof first);
}
END_TEST

/* --- divergence --- */

/* The pass that diverged is run again to find where: with the state it had, and without a second
 * update of it. */
START_TEST(test_divergence_is_found_where_it_happened)
{
    setup s = {.norm = norms[_i], .steps = 40, .lr = 1e30, .single = true};
    setup e = s;
    record a, b, eval;
    e.measure = ",\"eval\":true";
    run(&a, &s, 1, NULL, NULL);
    run(&b, &s, 2, NULL, NULL);
    run(&eval, &e, 1, NULL, NULL);
    ck_assert(a.summary.diverged);
    ck_assert_int_lt(a.summary.diverged_step, 40);
    ck_assert(!isfinite(a.steps[a.n_steps - 1].loss) ||
              !isfinite(a.steps[a.n_steps - 1].grad_norm));
    assert_same(&a, &b);
    assert_same_steps(&a, &eval);
    assert_same_tensors(&a, &eval);
    ck_assert_int_eq(a.summary.diverged_layer, eval.summary.diverged_layer);
    for (size_t i = 0; i < eval.n_measurements; i++) /* each number once */
        for (size_t k = 0; k < i; k++) {
            const measurement *x = &eval.measurements[i], *y = &eval.measurements[k];
            ck_assert(x->step != y->step || x->layer != y->layer || x->site != y->site ||
                      x->metric != y->metric || x->param != y->param);
        }
    record_deinit(&eval);
    record_deinit(&b);
    record_deinit(&a);
}
END_TEST

int main(void)
{
    openblas_set_num_threads(1);
    Suite *s = suite_create("running state");
    TCase *t = tcase_create("runs");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, test_number_of_threads_changes_no_bit, 0, 2 * NORMS);
    tcase_add_test(t, test_profiled_constants_do_not_depend_on_threads);
    tcase_add_loop_test(t, test_an_eval_probe_changes_nothing_that_follows, 0, NORMS);
    tcase_add_test(t, test_eval_of_layernorm_is_what_it_was);
    tcase_add_loop_test(t, test_state_goes_out_and_in_with_the_weights, 0, NORMS);
    tcase_add_test(t, test_frozen_norms_are_profiled_again_for_loaded_weights);
    tcase_add_test(t, test_initial_tensors_show_what_was_profiled);
    tcase_add_loop_test(t, test_divergence_is_found_where_it_happened, 0, NORMS);
    suite_add_tcase(s, t);
    return suite_run(s);
}

/* strategy.overrides: what a job may say, which blocks it changes, and that norm off, affine off
 * and a frozen deviation are three things. float64, the engine's own initial weights.
 */
#include "server/job/reader.h"
#include "tests/record.h"
#include "tests/suite.h"

extern void openblas_set_num_threads(int n);

static err_code read_job(job *j, const char *strategy, int depth, error *err)
{
    char text[1536];
    limits lim = {
        .body_bytes = 1 << 18, .runs = 1, .peak_bytes = 1 << 30, .flops = 1e12, .depth = 64};
    snprintf(text, sizeof text,
             "{\"model\":{\"d_model\":12,\"n_heads\":2,\"d_ff\":20,\"vocab\":17,\"bias\":true},"
             "\"strategy\":%s,\"depth\":%d,\"data\":{\"batch\":3,\"seq_len\":7,\"batches\":1},"
             "\"measure\":{\"sites\":[\"resid_out\",\"param\"],\"metrics\":[\"rms\",\"grad_norm\"]"
             "},\"init\":{\"scheme\":\"xavier\",\"embed_std\":1},\"train\":0,\"seeds\":[0],"
             "\"precision\":\"float64\"}",
             strategy, depth);
    job_init(j);
    return reader_job(text, strlen(text), &lim, j, err);
}

static void run(job *j, record *r, const char *strategy, int depth)
{
    error err = {0};
    if (read_job(j, strategy, depth, &err) != ERR_OK)
        ck_abort_msg("%s: %s\n%s", err.pointer, err.message, strategy);
    record_run(r, &engine_f64, &j->runs[0].spec, 1, true, NULL, NULL);
}

static void end(job *j, record *r)
{
    record_deinit(r);
    job_deinit(j);
}

/* --- what may be said --- */

static const struct {
    const char *strategy;
    int depth;
    err_code code;
    const char *pointer, *message; /* message: a part of it */
} refused[] = {
    {"{\"overrides\":3}", 3, ERR_TYPE, "/strategy/overrides", "list"},
    {"{\"overrides\":[3]}", 3, ERR_TYPE, "/strategy/overrides/0", "object"},
    {"{\"overrides\":[{\"eps\":1}]}", 3, ERR_MISSING_FIELD, "/strategy/overrides/0/layers",
     "layers"},
    {"{\"overrides\":[{\"layers\":\"all\"}]}", 3, ERR_MISSING_FIELD, "/strategy/overrides/0",
     "nothing"},
    {"{\"overrides\":[{\"layers\":\"erly\",\"eps\":1}]}", 3, ERR_RANGE,
     "/strategy/overrides/0/layers", "\"erly\"; allowed: early, middle"},
    {"{\"overrides\":[{\"layers\":0,\"eps\":1}]}", 3, ERR_RANGE, "/strategy/overrides/0/layers",
     "from 1"},
    {"{\"overrides\":[{\"layers\":1.5,\"eps\":1}]}", 3, ERR_RANGE, "/strategy/overrides/0/layers",
     "1.5"},
    {"{\"overrides\":[{\"layers\":[3,2],\"eps\":1}]}", 3, ERR_RANGE, "/strategy/overrides/0/layers",
     "[first, last]"},
    {"{\"overrides\":[{\"layers\":[1],\"eps\":1}]}", 3, ERR_RANGE, "/strategy/overrides/0/layers",
     "[first, last]"},
    {"{\"overrides\":[{\"layers\":1,\"eps\":1},{\"layers\":[2,4],\"eps\":1}]}", 3, ERR_COMBINATION,
     "/strategy/overrides/1/layers", "blocks 1 to 3"},
    {"{\"overrides\":[{\"layers\":\"early\",\"eps\":1}]}", 2, ERR_COMBINATION,
     "/strategy/overrides/0/layers", "no block"},
    {"{\"overrides\":[{\"layers\":\"all\",\"norm\":\"rmsnrm\"}]}", 3, ERR_UNKNOWN_NAME,
     "/strategy/overrides/0/norm", "did you mean rmsnorm?"},
    {"{\"overrides\":[{\"layers\":\"all\",\"epz\":1}]}", 3, ERR_UNKNOWN_FIELD,
     "/strategy/overrides/0/epz", "did you mean eps?"},
    {"{\"overrides\":[{\"layers\":\"all\",\"eps\":-1}]}", 3, ERR_RANGE, "/strategy/overrides/0/eps",
     "-1"},
    {"{\"overrides\":[{\"layers\":\"all\",\"affine\":1}]}", 3, ERR_TYPE,
     "/strategy/overrides/0/affine", "true, false"},
    /* what the network cannot have */
    {"{\"overrides\":[{\"layers\":1,\"eps\":1},{\"layers\":2,\"norm\":\"crmsnorm\"}]}", 3,
     ERR_COMBINATION, "/strategy/overrides/1/norm", "pre_crmsnorm"},
    {"{\"name\":\"pre_crmsnorm\",\"overrides\":[{\"layers\":\"all\",\"norm\":\"rmsnorm\"}]}", 3,
     ERR_COMBINATION, "/strategy/overrides/0/norm", "crmsnorm"},
    {"{\"norm\":\"crmsnorm\"}", 3, ERR_COMBINATION, "/strategy/norm", "pre_crmsnorm"},
    {"{\"placement\":\"pre_crmsnorm\"}", 3, ERR_COMBINATION, "/strategy/norm", "crmsnorm"},
    {"{\"overrides\":[{\"layers\":1,\"norm\":\"groupnorm\"}],\"groups\":5}", 3, ERR_COMBINATION,
     "/strategy/groups", "12"},
    {"{\"norm\":\"groupnorm\",\"groups\":5}", 3, ERR_COMBINATION, "/strategy/groups", "12"},
    {"{\"overrides\":[{\"layers\":\"all\",\"norm\":\"dyt\",\"sigma\":\"frozen\"}]}", 3,
     ERR_COMBINATION, "/strategy/overrides/0/sigma", "dyt"},
    {"{\"name\":\"e_spa\",\"overrides\":[{\"layers\":1,\"residual_scale\":2}]}", 3, ERR_COMBINATION,
     "/strategy/overrides/0/residual_scale", "residual sum"},
    {"{\"norm\":\"none\",\"embed_norm\":true}", 3, ERR_COMBINATION, "/strategy/embed_norm", "norm"},
    {"{\"norm\":\"none\",\"final_norm\":true}", 3, ERR_COMBINATION, "/strategy/final_norm", "norm"},
    {"{\"alpha_attn\":0.3}", 3, ERR_COMBINATION, "/strategy/alpha_attn", "alpha"},
    {"{\"groups\":2}", 3, ERR_COMBINATION, "/strategy/groups", "groups"},
};

START_TEST(test_meaningless_override_is_refused_with_pointer_and_reason)
{
    job j;
    error err = {0};
    err_code code = read_job(&j, refused[_i].strategy, refused[_i].depth, &err);
    ck_assert_msg(code == refused[_i].code, "%s: %s, %s: %s", refused[_i].strategy,
                  error_name(code), err.pointer, err.message);
    ck_assert_str_eq(err.pointer, refused[_i].pointer);
    ck_assert_msg(strstr(err.message, refused[_i].message) != NULL, "%s: %s", refused[_i].strategy,
                  err.message);
    job_deinit(&j);
}
END_TEST

START_TEST(test_list_of_overrides_has_an_end)
{
    char text[2048] = "{\"overrides\":[";
    for (int i = 0; i <= SPEC_OVERRIDES_MAX; i++)
        strcat(text, i ? ",{\"layers\":1,\"eps\":1}" : "{\"layers\":1,\"eps\":1}");
    strcat(text, "]}");
    char whole[2200];
    snprintf(whole, sizeof whole, "{\"strategy\":%s,\"depth\":2,\"seeds\":[0]}", text);
    limits lim = {
        .body_bytes = 1 << 18, .runs = 1, .peak_bytes = 1 << 30, .flops = 1e12, .depth = 64};
    job j;
    error err = {0};
    job_init(&j);
    ck_assert_int_eq(reader_job(whole, strlen(whole), &lim, &j, &err), ERR_RANGE);
    ck_assert_str_eq(err.pointer, "/strategy/overrides");
    job_deinit(&j);
}
END_TEST

/* What a strategy row brings and the network cannot use is no mistake of the job. */
START_TEST(test_norm_none_takes_the_norms_of_a_strategy_along)
{
    const char *with[] = {"{\"name\":\"peri_ln_emb\",\"norm\":\"none\"}",
                          "{\"name\":\"dyt\",\"norm\":\"none\"}",
                          "{\"norm\":\"none\",\"overrides\":[{\"layers\":2,\"norm\":\"dyt\"}],"
                          "\"alpha_attn\":0.3}"};
    job j;
    error err = {0};
    for (int i = 0; i < 3; i++) {
        ck_assert_msg(read_job(&j, with[i], 3, &err) == ERR_OK, "%s: %s: %s", with[i], err.pointer,
                      err.message);
        ck_assert(!j.runs[0].spec.strategy.embed_norm && !j.runs[0].spec.strategy.final_norm);
        job_deinit(&j);
    }
}
END_TEST

/* --- which blocks --- */

/* Characters 1 to depth: 'b' gain and bias in the block's norms, 'g' a gain alone, '-' neither. */
static void blocks_of(const record *r, int depth, char *out)
{
    for (int l = 0; l < depth; l++) {
        char gain[64], bias[64];
        bool has[2][2];
        for (int k = 0; k < 2; k++) {
            const char *part = k ? "mlp" : "attn";
            snprintf(gain, sizeof gain, "blocks.%d.%s.norm_in.weight", l, part);
            snprintf(bias, sizeof bias, "blocks.%d.%s.norm_in.bias", l, part);
            has[k][0] = record_find(r, TENSOR_FINAL, -1, gain) != NULL;
            has[k][1] = record_find(r, TENSOR_FINAL, -1, bias) != NULL;
        }
        ck_assert(has[0][0] == has[1][0] && has[0][1] == has[1][1]);
        out[l] = has[0][1] ? 'b' : has[0][0] ? 'g' : '-';
    }
    out[depth] = '\0';
}

static const struct {
    const char *overrides;
    int depth;
    const char *blocks;
} where[] = {
    {"", 4, "bbbb"},
    {"{\"layers\":\"all\",\"norm\":\"rmsnorm\"}", 4, "gggg"},
    {"{\"layers\":2,\"norm\":\"rmsnorm\"}", 4, "bgbb"},
    {"{\"layers\":[2,3],\"affine\":false}", 4, "b--b"},
    {"{\"layers\":[1,4],\"affine\":false}", 4, "----"},
    {"{\"layers\":\"early\",\"norm\":\"none\"}", 6, "--bbbb"},
    {"{\"layers\":\"middle\",\"norm\":\"none\"}", 6, "bb--bb"},
    {"{\"layers\":\"later\",\"norm\":\"none\"}", 6, "bbbb--"},
    /* floor(L/3) and floor(2 L/3) */
    {"{\"layers\":\"early\",\"norm\":\"rmsnorm\"},{\"layers\":\"later\",\"affine\":false}", 7,
     "ggbb---"},
    {"{\"layers\":\"early\",\"norm\":\"rmsnorm\"},{\"layers\":\"later\",\"affine\":false}", 8,
     "ggbbb---"},
    /* the last one wins, member by member */
    {"{\"layers\":\"all\",\"norm\":\"rmsnorm\"},{\"layers\":2,\"norm\":\"layernorm\"}", 3, "gbg"},
    {"{\"layers\":2,\"norm\":\"layernorm\"},{\"layers\":\"all\",\"norm\":\"rmsnorm\"}", 3, "ggg"},
    {"{\"layers\":[1,2],\"affine\":false},{\"layers\":[2,3],\"norm\":\"rmsnorm\"}", 4, "--gb"},
    {"{\"layers\":\"all\",\"affine\":false},{\"layers\":\"middle\",\"affine\":true}", 3, "-b-"},
};

START_TEST(test_override_changes_its_blocks_and_no_other)
{
    char strategy[512], blocks[16];
    job j;
    record r;
    snprintf(strategy, sizeof strategy, "{\"overrides\":[%s]}", where[_i].overrides);
    run(&j, &r, strategy, where[_i].depth);
    blocks_of(&r, where[_i].depth, blocks);
    ck_assert_str_eq(blocks, where[_i].blocks);
    record_need(&r, TENSOR_FINAL, -1, "final_norm.bias"); /* outside the blocks: none applies */
    end(&j, &r);
}
END_TEST

/* --- what they change --- */

static size_t different_bits(const record *a, const record *b)
{
    size_t n = a->n_measurements != b->n_measurements || a->n_tensors != b->n_tensors;
    for (size_t i = 0; !n && i < a->n_measurements; i++)
        n += memcmp(&a->measurements[i].value, &b->measurements[i].value, sizeof(double)) != 0;
    for (size_t i = 0; !n && i < a->n_tensors; i++)
        n += strcmp(a->tensors[i].name, b->tensors[i].name) != 0 ||
             memcmp(a->tensors[i].data, b->tensors[i].data, a->tensors[i].n * sizeof(double)) != 0;
    return n + (a->steps[0].loss != b->steps[0].loss);
}

/* Pairs of strategies that are one, bit for bit; depth 3, without a final norm, which overrides do
 * not reach. */
static const char *const same[][2] = {
    {"{\"final_norm\":false,\"norm\":\"rmsnorm\"}",
     "{\"final_norm\":false,\"overrides\":[{\"layers\":\"all\",\"norm\":\"rmsnorm\"}]}"},
    {"{\"final_norm\":false,\"eps\":0.5}",
     "{\"final_norm\":false,\"overrides\":[{\"layers\":\"early\",\"eps\":0.5},{\"layers\":"
     "\"middle\",\"eps\":0.5},{\"layers\":\"later\",\"eps\":0.5}]}"},
    {"{\"final_norm\":false,\"affine\":false}",
     "{\"final_norm\":false,\"overrides\":[{\"layers\":1,\"affine\":false},{\"layers\":[2,3],"
     "\"affine\":false}]}"},
    {"{\"final_norm\":false,\"residual_scale\":0.25}",
     "{\"final_norm\":false,\"overrides\":[{\"layers\":[1,3],\"residual_scale\":0.25}]}"},
    {"{\"final_norm\":false,\"sigma\":\"frozen\"}",
     "{\"final_norm\":false,\"overrides\":[{\"layers\":\"all\",\"sigma\":\"frozen\"}]}"},
    {"{\"final_norm\":false,\"norm\":\"none\"}",
     "{\"final_norm\":false,\"overrides\":[{\"layers\":\"all\",\"norm\":\"none\"}]}"},
    {"{\"final_norm\":false,\"norm\":\"dyt\",\"alpha_mlp\":0.2}",
     "{\"final_norm\":false,\"alpha_mlp\":0.2,\"overrides\":[{\"layers\":\"all\",\"norm\":"
     "\"dyt\"}]}"},
    {"{\"placement\":\"none\",\"norm\":\"none\"}",
     "{\"placement\":\"pre_ln\",\"final_norm\":false,\"norm\":\"none\"}"},
};

START_TEST(test_override_of_all_blocks_is_the_field_itself)
{
    job ja, jb;
    record a, b;
    run(&ja, &a, same[_i][0], 3);
    run(&jb, &b, same[_i][1], 3);
    ck_assert_msg(different_bits(&a, &b) == 0, "%s is not %s", same[_i][1], same[_i][0]);
    end(&ja, &a), end(&jb, &b);
}
END_TEST

/* In the middle third: the operation left out, its gain and bias left out, its deviation made a
 * constant. At unit gains the second is the plain network, with fewer weights; the others are not.
 */
START_TEST(test_norm_off_affine_off_and_frozen_sigma_are_three_things)
{
    const char *members[] = {"\"norm\":\"none\"", "\"affine\":false", "\"sigma\":\"frozen\""};
    const char *blocks[] = {"b-b", "b-b", "bbb"};
    double loss[3], plain;
    job j;
    record r;
    run(&j, &r, "{}", 3);
    plain = r.steps[0].loss;
    end(&j, &r);
    for (int i = 0; i < 3; i++) {
        char strategy[128], found[8];
        snprintf(strategy, sizeof strategy, "{\"overrides\":[{\"layers\":\"middle\",%s}]}",
                 members[i]);
        run(&j, &r, strategy, 3);
        blocks_of(&r, 3, found);
        ck_assert_str_eq(found, blocks[i]);
        const record_tensor *sigma =
            record_find(&r, TENSOR_FINAL, -1, "state.blocks.1.attn.norm_in.sigma");
        ck_assert((sigma != NULL) == (i == 2));
        ck_assert_ptr_null(record_find(&r, TENSOR_FINAL, -1, "state.blocks.0.attn.norm_in.sigma"));
        loss[i] = r.steps[0].loss;
        end(&j, &r);
    }
    ck_assert(loss[1] == plain);
    ck_assert_double_ge(fabs(loss[0] - plain), 1e-6);
    ck_assert_double_ge(fabs(loss[2] - plain), 1e-6);
    ck_assert_double_ge(fabs(loss[2] - loss[0]), 1e-6);
}
END_TEST

int main(void)
{
    openblas_set_num_threads(1);
    Suite *s = suite_create("override");
    TCase *t = tcase_create("overrides");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_meaningless_override_is_refused_with_pointer_and_reason, 0,
                        sizeof refused / sizeof *refused);
    tcase_add_test(t, test_list_of_overrides_has_an_end);
    tcase_add_test(t, test_norm_none_takes_the_norms_of_a_strategy_along);
    tcase_add_loop_test(t, test_override_changes_its_blocks_and_no_other, 0,
                        sizeof where / sizeof *where);
    tcase_add_loop_test(t, test_override_of_all_blocks_is_the_field_itself, 0,
                        sizeof same / sizeof *same);
    tcase_add_test(t, test_norm_off_affine_off_and_frozen_sigma_are_three_things);
    suite_add_tcase(s, t);
    return suite_run(s);
}

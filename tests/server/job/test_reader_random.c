/* Jobs made at random from the table of fields: what is accepted resolves to itself, and no bytes
 * bring the reader down. */
#include "server/job/choice.h"
#include "server/job/field.h"
#include "server/job/preset.h"
#include "server/job/strategy.h"
#include "tests/server/reading.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

static uint64_t state;

static unsigned pick(unsigned n)
{
    state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
    return (unsigned)((state >> 33) % n);
}

static char text_of_job[1 << 16];
static size_t n_text;

static void out(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    n_text += (size_t)vsnprintf(text_of_job + n_text, sizeof text_of_job - n_text, format, args);
    va_end(args);
    ck_assert_uint_lt(n_text, sizeof text_of_job);
}

static void out_names(const registry *r)
{
    out("[");
    for (unsigned i = 0, n = pick(4); i < n; i++)
        out("%s\"%s\"", i ? "," : "", r->rows[pick((unsigned)r->n)]->name);
    out("]");
}

static void out_integer(const field *f)
{
    static const int small[] = {1, 2, 4, 8, 16};
    if (strcmp(f->name, "steps") == 0 || strcmp(f->name, "warmup") == 0)
        out("%u", pick(4));
    else if (strcmp(f->name, "d_model") == 0)
        out("%u", 16 * (1 + pick(4)));
    else if (strcmp(f->name, "vocab") == 0)
        out("%u", 256 + pick(100));
    else if (strstr(f->name, "heads"))
        out("%d", small[pick(5)]);
    else
        out("%u", 2 + pick(30));
}

static void out_overrides(void)
{
    static const char *const layers[] = {"\"early\"", "\"middle\"", "\"later\"",
                                         "\"all\"",   "1",          "[1,2]"};
    static const char *const members[] = {"\"affine\":false", "\"eps\":0.25",
                                          "\"norm\":\"rmsnorm\"", "\"residual_scale\":0.5"};
    out("[");
    for (unsigned i = 0, n = pick(3); i < n; i++)
        out("%s{\"layers\":%s,%s}", i ? "," : "", layers[pick(6)], members[pick(4)]);
    out("]");
}

static void out_config(void)
{
    static const char *const types[] = {"gpt2", "llama", "bert", "gemma", "gpt_neox"};
    out("{\"model_type\":\"%s\",\"num_hidden_layers\":%u", types[pick(5)], 1 + pick(3));
    out(",\"hidden_size\":%u,\"num_attention_heads\":4", 16 * (1 + pick(4)));
    if (pick(2)) out(",\"initializer_range\":0.125,\"vocab_size\":%u", 256 + pick(9));
    out("}");
}

static void out_value(const field *f)
{
    switch (f->type) {
    case FIELD_INTEGER:
    case FIELD_DEPTH:
        out_integer(f);
        break;
    case FIELD_NUMBER:
    case FIELD_SCALE:
        if (f->nullable && pick(3) == 0)
            out("null");
        else
            out("%.17g", 0.001 + 0.9 * pick(1 << 30) / (1 << 30));
        break;
    case FIELD_BOOL:
        out("%s", pick(2) ? "true" : "false");
        break;
    case FIELD_CHOICE: {
        const registry *r = choice_registry(f->choices);
        out("\"%s\"", r->rows[pick((unsigned)r->n)]->name);
        break;
    }
    case FIELD_TEXT:
        out("\"%s\"", pick(2) ? "demo" : "a.b-c_D9");
        break;
    case FIELD_STEPS:
        out("%s", pick(2) ? "[0]" : "[0,1]");
        break;
    case FIELD_SITES:
        out_names(&site_registry);
        break;
    case FIELD_METRICS:
        out_names(&metric_registry);
        break;
    case FIELD_PRESET:
        out("\"%s\"", preset_registry.rows[pick(3)]->name);
        break;
    case FIELD_HF_CONFIG:
        out_config();
        break;
    case FIELD_STRATEGY:
        out("\"%s\"", strategy_registry.rows[pick((unsigned)strategy_registry.n)]->name);
        break;
    case FIELD_NUMBERS:
        out(pick(2) ? "[]" : "[0.5,1]");
        break;
    case FIELD_OVERRIDES:
        out_overrides();
        break;
    default:
        ck_abort();
    }
}

static void out_object(const char *group, unsigned one_in)
{
    int n = 0;
    out("{");
    for (int i = 0; i < FIELD_COUNT; i++) {
        if (strcmp(field_table[i].group, group) != 0 || pick(one_in)) continue;
        out("%s\"%s\":", n++ ? "," : "", field_table[i].name);
        if (i == FIELD_model_preset && pick(2))
            out("{\"strategy\":{\"norm\":\"rmsnorm\",\"gain_init\":0.5},\"depth\":%u}",
                1 + pick(3));
        else
            out_value(&field_table[i]);
    }
    out("}");
}

static void out_group(int group)
{
    int shorthand = field_shorthand(group);
    if (shorthand >= 0 && pick(4) == 0)
        out_value(&field_table[shorthand]);
    else
        out_object(field_groups[group].name, 3);
}

static void out_sweep(void)
{
    int axes = 0;
    out("\"sweep\":{");
    for (int g = 0; g < field_n_groups; g++) {
        if (pick(10)) continue;
        out("%s\"%s\":[", axes++ ? "," : "", field_groups[g].name);
        out_group(g);
        if (pick(2)) {
            out(",");
            out_group(g);
        }
        out("]");
    }
    for (int i = 0; i < FIELD_COUNT && axes < 3; i++) {
        char path[FIELD_PATH];
        if (!field_sweepable(&field_table[i]) || pick(30)) continue;
        field_path(path, &field_table[i]);
        out("%s\"%s\":[", axes++ ? "," : "", path);
        out_value(&field_table[i]);
        out("]");
    }
    out("}");
}

static void random_job(void)
{
    n_text = 0;
    out("{\"depth\":%u", 1 + pick(3));
    for (int g = 0; g < field_n_groups; g++) {
        if (pick(2)) continue;
        out(",\"%s\":", field_groups[g].name);
        out_group(g);
    }
    if (pick(2)) {
        out(",");
        out_sweep();
    }
    if (pick(4) == 0) out(",\"find\":\"max_depth\"");
    if (pick(4) == 0) out(",\"expect\":[{\"metric\":\"var\",\"max\":%u}]", pick(9));
    if (pick(2)) out(",\"seeds\":[%u]", pick(1000));
    if (pick(3) == 0) out(",\"precision\":\"float64\"");
    out("}");
}

static void assert_same_runs(const job *a, const job *b)
{
    ck_assert_int_eq(a->n_runs, b->n_runs);
    for (int i = 0; i < a->n_runs; i++) {
        ck_assert_msg(memcmp(&a->runs[i].spec, &b->runs[i].spec, sizeof a->runs[i].spec) == 0,
                      "run %d of %.900s and %.900s", i, text_of_job, a->resolved);
        ck_assert_str_eq(a->runs[i].arm, b->runs[i].arm);
    }
}

START_TEST(test_random_job_resolves_to_itself)
{
    int accepted = 0;
    state = (uint64_t)_i * 7919 + 1;
    for (int round = 0; round < 900; round++) {
        job j, again;
        error err;
        random_job();
        err_code code = read_text(text_of_job, &j, &err);
        if (code) {
            bool expected = code == ERR_COMBINATION || code == ERR_MISSING_FIELD ||
                            code == ERR_RANGE || code == ERR_LIMIT;
            ck_assert_msg(expected, "%s: %s %s", text_of_job, err.pointer, err.message);
            job_deinit(&j);
            continue;
        }
        accepted++;
        read_ok(j.resolved, &again);
        ck_assert_msg(strcmp(j.hash, again.hash) == 0, "%.900s\n%.900s\n%.900s", text_of_job,
                      j.resolved, again.resolved);
        assert_same_runs(&j, &again);
        for (int i = 0; i < j.n_runs; i += 5) assert_run_text_is_that_run(&j, i);
        job_deinit(&j);
        job_deinit(&again);
    }
    ck_assert_int_gt(accepted, 30);
}
END_TEST

START_TEST(test_mutated_job_never_crashes)
{
    static const char bytes[] = "{}[]\",:\\ 0123456789e.-+tfnu_a\xc3\xff";
    state = (uint64_t)_i * 104729 + 3;
    for (int round = 0; round < 300; round++) {
        job j;
        error err;
        random_job();
        for (unsigned edits = 1 + pick(4); edits; edits--)
            text_of_job[pick((unsigned)n_text)] = bytes[pick(sizeof bytes - 1)];
        limits lim = limits_default();
        err_code code = reader_job(text_of_job, n_text, &lim, &j, &err);
        ck_assert(code == ERR_OK || (code != ERR_INTERNAL && code < ERR_COUNT));
        job_deinit(&j);
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("reader_random");
    TCase *c = tcase_create("random");
    tcase_set_timeout(c, 60);
    tcase_add_loop_test(c, test_random_job_resolves_to_itself, 0, 8);
    tcase_add_loop_test(c, test_mutated_job_never_crashes, 0, 8);
    suite_add_tcase(s, c);
    return suite_run(s);
}

#include "server/bench/group.h"

#include "server/machine/block.h"

#include <string.h>

static void select_group(spec_measure *m, const char *group, bool defaults)
{
    for (int i = 0; i < METRIC_COUNT; i++) {
        const entry *e = metric_registry.rows[i];
        bool is_in = strcmp(e->group, group) == 0;
        m->metrics[i] = is_in && (e->is_default || !defaults);
    }
    m->metrics[METRIC_param_grad_norm] = true; /* as in the plain pass: there is a backward pass */
}

static bool has_default(const char *group)
{
    bool any = false;
    for (int i = 0; i < METRIC_COUNT; i++)
        any |= metric_registry.rows[i]->is_default &&
               strcmp(metric_registry.rows[i]->group, group) == 0;
    return any;
}

static const char defaults[] = "defaults";

static bool is_defaults(const bench_group *g)
{
    return g->name == defaults;
}

static void list_groups(bench_groups *out, const char *only)
{
    static const char *const names[] = {
#define GROUP(name, use, site) #name,
#include "core/base/group.def"
#undef GROUP
    };
    for (int k = 0; k < GROUP_COUNT; k++) {
        const char *name = names[k];
        if (!only || strcmp(only, name) == 0)
            out->rows[out->n++] = (bench_group){.name = name, .is_default = has_default(name)};
    }
    if (!only || strcmp(only, defaults) == 0)
        out->rows[out->n++] = (bench_group){.name = defaults, .is_default = true};
}

static run_spec spec_of(const bench_groups *all, int row, const run_spec *base)
{
    run_spec s = bench_pass_spec(base, PASS_ALL);
    const bench_group *g = &all->rows[row];
    if (!is_defaults(g)) select_group(&s.measure, g->name, g->is_default);
    return s;
}

typedef struct measuring {
    bench_groups *out;
    const run_spec *base;
    void *memory;
    size_t bytes;
    team one;
} measuring;

static err_code
plan_one(measuring *m, const run_spec *spec, bool counts_parameters, double *factor, error *err)
{
    estimate cost;
    err_code code = engine_for(spec->precision)->estimate(spec, 1, false, &cost, err);
    if (code) return code;
    *factor = 0;
    for (int k = 0; k < GROUP_COUNT; k++)
        if (k != GROUP_parameter || counts_parameters) *factor += cost.metrics[k].factor;
    if (cost.peak_bytes > m->bytes) m->bytes = (size_t)cost.peak_bytes;
    return ERR_OK;
}

static err_code plan(measuring *m, int rounds, error *err)
{
    bench_groups *out = m->out;
    const run_spec all = bench_pass_spec(m->base, PASS_ALL);
    double whole;
    err_code code = plan_one(m, &all, true, &whole, err); /* the most memory of the passes */
    for (int i = 0; i < out->n && !code; i++) {
        const run_spec spec = spec_of(out, i, m->base);
        /* the plain pass measures a parameter metric too */
        const bench_group *g = &out->rows[i];
        bool counts_parameters = is_defaults(g) || !strcmp(g->name, "parameter");
        code = plan_one(m, &spec, counts_parameters, &out->rows[i].predicted, err);
    }
    if (code) return code;
    m->memory = block_map(m->bytes, block_worth_huge((long long)rounds * out->n));
    return m->memory ? ERR_OK
                     : error_set(err, ERR_MEMORY, "",
                                 "the system has no %zu bytes of memory for the run", m->bytes);
}

static err_code time_pass(measuring *m, const run_spec *spec, bench_times *to, error *err)
{
    bench_time took;
    err_code code = bench_pass_run(spec, m->memory, m->bytes, &m->one, &took, err);
    if (!code && to) bench_add(to, took);
    return code;
}

static err_code measure_rounds(measuring *m, int rounds, error *err)
{
    bench_groups *out = m->out;
    const run_spec plain = bench_pass_spec(m->base, PASS_PLAIN),
                   all = bench_pass_spec(m->base, PASS_ALL);
    err_code code = time_pass(m, &all, NULL, err); /* touches pages */
    for (int r = 0; r < rounds && !code; r++) {
        code = time_pass(m, &plain, &out->plain, err);
        for (int i = 0; i < out->n && !code; i++) {
            const run_spec spec = spec_of(out, i, m->base);
            code = time_pass(m, &spec, &out->rows[i].times, err);
        }
    }
    return code;
}

err_code
bench_group_measure(bench_groups *out, const job *j, const char *only, int rounds, error *err)
{
    measuring m = {.out = out, .base = &j->runs[0].spec};
    memset(out, 0, sizeof *out);
    memcpy(out->job, j->name, sizeof out->job);
    list_groups(out, only);
    if (!out->n)
        return error_set(err, ERR_NOT_FOUND, "",
                         "there is no group of metrics \"%.40s\"; allowed: the groups of "
                         "`normscope describe metrics`, defaults",
                         only);
    err_code code = plan(&m, rounds, err);
    if (!code) code = team_start(&m.one, 1, err);
    if (!code) {
        code = measure_rounds(&m, rounds, err);
        team_stop(&m.one);
    }
    if (m.memory) block_unmap(m.memory, m.bytes);
    return code;
}

/* --- results ---------------------------------------------------------------------------------- */

double bench_group_share(const bench_groups *all, const bench_group *g)
{
    return bench_least(&g->times, BENCH_CPU) / bench_least(&all->plain, BENCH_CPU) - 1;
}

double bench_group_median(const bench_groups *all, const bench_group *g)
{
    bench_times ratios = {.n = g->times.n < all->plain.n ? g->times.n : all->plain.n};
    for (int i = 0; i < ratios.n; i++)
        ratios.at[i].ms[BENCH_CPU] =
            g->times.at[i].ms[BENCH_CPU] / all->plain.at[i].ms[BENCH_CPU] - 1;
    return bench_median(&ratios, BENCH_CPU);
}

void bench_print_groups(FILE *to, const bench_groups *all)
{
    fprintf(to,
            "%s: metrics beside forward + backward (%.2f ms), one thread, processor time\n"
            "  %-16s %8s %8s %10s\n",
            *all->job ? all->job : "job", bench_least(&all->plain, BENCH_CPU), "", "minimum",
            "median", "flops");
    for (int i = 0; i < all->n; i++) {
        const bench_group *g = &all->rows[i];
        fprintf(to, "  %-16s %6.1f %% %6.1f %% %8.1f %%  %s\n", g->name,
                100 * bench_group_share(all, g), 100 * bench_group_median(all, g),
                100 * g->predicted,
                is_defaults(g)  ? "what a job measures that does not say"
                : g->is_default ? "default"
                                : "opt-in");
    }
    fputc('\n', to);
}

void bench_json_groups(json_out *o, const bench_groups *all)
{
    json_begin_object(o);
    json_string_member(o, "name", all->job);
    json_double_member(o, "plain_ms", bench_least(&all->plain, BENCH_CPU));
    json_array_member(o, "groups");
    for (int i = 0; i < all->n; i++) {
        const bench_group *g = &all->rows[i];
        json_begin_object(o);
        json_string_member(o, "group", g->name);
        json_bool_member(o, "default", g->is_default);
        json_double_member(o, "ms", bench_least(&g->times, BENCH_CPU));
        json_double_member(o, "share", bench_group_share(all, g));
        json_double_member(o, "share_median", bench_group_median(all, g));
        json_double_member(o, "predicted", g->predicted);
        json_end(o);
    }
    json_end(o);
    json_end(o);
}

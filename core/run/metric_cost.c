#include "core/run/metric_cost.h"

#include "core/run/session.h"

/* Operations that take the time of a byte of traffic: what a narrow network waits for. */
static const double byte_weight = 12;

/* Entries of a tap, of one sequence, whose two passes nobody has carried so far. */
static double slab_entries(const graph *g, const tap *t, int k, const bool carried[GROUP_COUNT])
{
    const gauge *own = gauge_table[k];
    if (!own->reads || !(own->reads(g, t) & GAUGE_SLABS)) return 0;
    for (int i = 0; i < GROUP_COUNT; i++)
        if (carried[i] && gauge_table[i]->reads && (gauge_table[i]->reads(g, t) & GAUGE_SLABS))
            return 0;
    return gauge_entries(g, t);
}

static double flops_of(const graph *g, int k, const bool carried[GROUP_COUNT])
{
    const gauge *own = gauge_table[k];
    double sum = own->flops_once ? own->flops_once(g) : 0;
    for (int i = 0; i < g->n_taps; i++) {
        if (own->flops) sum += g->batch * own->flops(g, &g->taps[i]);
        sum += g->batch * 20 * slab_entries(g, &g->taps[i], k, carried);
    }
    return sum;
}

/* Its own, and those of groups that take part only because of it. */
static double group_flops(const graph *g, int k, bool carried[GROUP_COUNT])
{
    bool needed[GROUP_COUNT] = {false};
    double sum = 0;
    needed[k] = true;
    if (gauge_table[k]->needs) (void)gauge_table[k]->needs(g->spec, needed);
    for (int i = 0; i < GROUP_COUNT; i++) {
        if (!needed[i] || carried[i]) continue;
        if (i != k && gauge_wanted(g->spec, (metric_group)i)) continue;
        sum += flops_of(g, i, carried);
        carried[i] = true;
    }
    return sum;
}

void metric_cost_of(const session *s, metric_cost out[GROUP_COUNT])
{
    static const char *const names[] = {
#define GROUP(name, use, site) #name,
#include "core/base/group.def"
#undef GROUP
    };
    bool carried[GROUP_COUNT] = {false};
    for (int k = 0; k < GROUP_COUNT; k++) {
        const gauge *own = gauge_table[k];
        out[k] = (metric_cost){.group = names[k], .wanted = gauge_wanted(s->spec, (metric_group)k)};
        if (!out[k].wanted) continue;
        out[k].flops = group_flops(&s->g, k, carried);
        if (own->passes && s->spec->measure.n_steps) out[k].passes = own->passes(s);
    }
}

void metric_cost_factors(metric_cost out[GROUP_COUNT],
                         double pass_flops,
                         double pass_bytes,
                         int n_measured)
{
    const double pass = pass_flops + byte_weight * pass_bytes, n = n_measured > 0 ? n_measured : 1;
    const double faster = REAL_BITS == 64 ? 0.5 : 1; /* products of the run are slower there */
    for (int k = 0; k < GROUP_COUNT; k++)
        out[k].factor = (out[k].passes + out[k].flops * gauge_table[k]->weight * faster / pass) / n;
}

#include "core/probe/gauge.h"

#include "core/op/op.h"

#include <string.h>

#define GROUP(name, use, site) extern const gauge gauge_##name;
#include "core/base/group.def"
#undef GROUP

const gauge *const gauge_table[GROUP_COUNT] = {
#define GROUP(name, use, site) &gauge_##name,
#include "core/base/group.def"
#undef GROUP
};

int gauge_count_wanted(const run_spec *spec, metric_group k)
{
    int n = 0;
    for (int m = 0; m < METRIC_COUNT; m++)
        n += spec->measure.metrics[m] && metric_group_of((metric)m) == k;
    return n;
}

bool gauge_wanted(const run_spec *spec, metric_group k)
{
    return gauge_count_wanted(spec, k) > 0;
}

unsigned gauge_needs(const run_spec *spec, bool groups[GROUP_COUNT])
{
    unsigned needs = 0;
    bool before[GROUP_COUNT];
    for (int k = 0; k < GROUP_COUNT; k++) groups[k] = gauge_wanted(spec, (metric_group)k);
    do {
        memcpy(before, groups, sizeof before);
        for (int k = 0; k < GROUP_COUNT; k++)
            if (groups[k] && gauge_table[k]->needs) needs |= gauge_table[k]->needs(spec, groups);
    } while (memcmp(before, groups, sizeof before) != 0);
    return needs;
}

bool gauge_compares_layers(const run_spec *spec)
{
    bool any = false;
    for (int k = 0; k < GROUP_COUNT; k++)
        any |= gauge_table[k]->compares_layers && gauge_wanted(spec, (metric_group)k);
    return any;
}

bool gauge_applies(const graph *g, const tap *t, metric m, bool with_grads)
{
    const gauge *own = gauge_table[metric_group_of(m)];
    if (own->applies) return own->applies(g, t, m, with_grads);
    return own->reads && own->reads(g, t);
}

void gauge_visible(const look *l, size_t r, size_t *begin, size_t *end)
{
    const size_t length = (size_t)l->g->seq_len;
    *begin = l->t->is_matrix ? op_attention_first(l->n, r % length) : 0;
    *end = l->t->is_matrix ? op_attention_end(l->n, r % length, length) : (size_t)l->v->cols;
}

#include "core/probe/coordinate.h"

#include "core/metric/coordinate.h"
#include "core/probe/gauge.h"

#include <string.h>

typedef struct tap_coordinate {
    coordinate *sums; /* [B] */
    real *first;      /* [B, rows, cols] of step 0; NULL: there are no updates, nothing changes */
    bool has_delta;
} tap_coordinate;

static unsigned reads(const graph *g, const tap *t)
{
    (void)g;
    return t->hidden ? 0 : GAUGE_VALUE;
}

static void *layout(const graph *g, int n_threads, arena *a)
{
    (void)n_threads;
    const size_t batch = (size_t)g->batch;
    tap_coordinate *taps = arena_alloc(a, (size_t)g->n_taps * sizeof *taps);
    for (int i = 0; i < g->n_taps; i++) {
        const value *v = &g->values[g->taps[i].value];
        const size_t count = batch * (size_t)v->rows * (size_t)v->cols;
        if (!reads(g, &g->taps[i])) continue;
        tap_coordinate one = {.sums = arena_alloc(a, batch * sizeof *one.sums)};
        if (g->spec->train.steps) one.first = arena_alloc(a, count * sizeof *one.first);
        if (taps) taps[i] = one;
    }
    return taps;
}

static void value_made(void *state, const look *l)
{
    tap_coordinate *taps = state, *c = &taps[l->at];
    const size_t rows = (size_t)l->v->rows, cols = (size_t)l->v->cols;
    const bool compare = c->first && l->x->step > 0;
    coordinate *sum = &c->sums[l->b];
    *sum = (coordinate){0};
    if (l->b == 0) c->has_delta = compare;
    for (size_t r = 0; r < rows; r++) {
        const real *row = l->data + r * (size_t)l->v->ld;
        real *first = c->first ? c->first + ((size_t)l->b * rows + r) * cols : NULL;
        size_t begin, end;
        gauge_visible(l, r, &begin, &end);
        if (first && !compare) memcpy(first, row, cols * sizeof *row);
        coordinate_add(sum, row + begin, compare ? first + begin : NULL, end - begin);
    }
}

static void finish(void *state, const graph *g, int tap_index, bool with_grads, metric_value out[])
{
    (void)with_grads;
    const tap_coordinate *taps = state, *c = &taps[tap_index];
    for (int b = 1; b < g->batch; b++) coordinate_merge(&c->sums[0], &c->sums[b]);
    coordinate_finish(&c->sums[0], c->has_delta, out);
}

static bool applies(const graph *g, const tap *t, metric m, bool with_grads)
{
    (void)g, (void)t, (void)m, (void)with_grads;
    return true;
}

static double flops(const graph *g, const tap *t)
{
    return t->hidden ? 0 : 2 * gauge_entries(g, t);
}

const gauge gauge_coordinate = {
    .reads = reads,
    .layout = layout,
    .value = value_made,
    .finish = finish,
    .applies = applies,
    .flops = flops,
    .weight = 5,
};

err_code probe_coordinate_check(const run_spec *spec, error *err)
{
    const spec_measure *m = &spec->measure;
    bool asked = m->metrics[METRIC_delta_mean_abs] || m->metrics[METRIC_delta_rms];
    if (!asked || !spec->train.steps) return ERR_OK;
    if (spec->data.batches != 1)
        return error_set(err, ERR_COMBINATION, "/data/batches",
                         "batches is %d; delta_mean_abs and delta_rms compare values on the same "
                         "batch: allowed is 1",
                         spec->data.batches);
    if (m->n_steps && m->steps[0] != 0)
        return error_set(err, ERR_COMBINATION, "/measure/steps",
                         "step 0 is not measured; delta_mean_abs and delta_rms compare with it");
    return ERR_OK;
}

#include "core/probe/coordinate.h"

#include <string.h>

void probe_coordinate_layout(probe_coordinate *c, const graph *g, const tap *t, arena *a)
{
    const value *v = &g->values[t->value];
    size_t batch = (size_t)g->batch, count = batch * (size_t)v->rows * (size_t)v->cols;
    c->sums = arena_alloc(a, batch * sizeof *c->sums);
    c->first = g->spec->train.steps ? arena_alloc(a, count * sizeof *c->first) : NULL;
}

void probe_coordinate_add(probe_coordinate *c, const exec *x, const node *n, const tap *t, int b)
{
    const value *v = &x->g->values[t->value];
    size_t rows = (size_t)v->rows, cols = (size_t)v->cols, length = (size_t)x->g->seq_len;
    const real *from = exec_value(x, t->value, b);
    bool compare = c->first && x->step > 0;
    coordinate *sum = &c->sums[b];
    *sum = (coordinate){0};
    if (b == 0) c->has_delta = compare;
    for (size_t r = 0; r < rows; r++) {
        const real *row = from + r * (size_t)v->ld;
        real *first = c->first ? c->first + ((size_t)b * rows + r) * cols : NULL;
        size_t begin = t->is_matrix ? op_attention_first(n, r % length) : 0,
               end = t->is_matrix ? op_attention_end(n, r % length, length) : cols;
        if (first && !compare) memcpy(first, row, cols * sizeof *row);
        coordinate_add(sum, row + begin, compare ? first + begin : NULL, end - begin);
    }
}

void probe_coordinate_finish(probe_coordinate *c, const graph *g, metric_value out[METRIC_COUNT])
{
    for (int b = 1; b < g->batch; b++) coordinate_merge(&c->sums[0], &c->sums[b]);
    coordinate_finish(&c->sums[0], c->has_delta, out);
}

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

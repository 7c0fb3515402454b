#include "core/run/tensors.h"

#include <stdio.h>
#include <string.h>

static bool emit(const sink *to,
                 enum tensor_when when,
                 int step,
                 const char *name,
                 tensor_type type,
                 int rank,
                 const size_t *dims,
                 void *data)
{
    tensor_view t = {.name = name, .type = type, .rank = rank, .data = data};
    memcpy(t.dims, dims, (size_t)rank * sizeof *dims);
    return to->tensor(to->user, when, step, &t);
}

/* Running state that counts: what the next training pass will read. */
static bool report_state(session *s, enum tensor_when when, int step, const sink *to)
{
    for (int i = 0; i < s->g.n_nodes; i++) {
        const node *n = &s->g.nodes[i];
        double *at = s->x.state[0] + n->state;
        state_row row;
        for (int k = 0; n->op->state_row && n->op->state_row(&s->g, n, k, &row); k++) {
            char name[2 * PARAM_NAME], block[24] = "";
            int layer = s->g.values[n->outputs[0]].layer;
            if (layer >= 1 && layer <= s->spec->depth)
                snprintf(block, sizeof block, "blocks.%d.", layer - 1);
            snprintf(name, sizeof name, "state.%s%s.%s", block, n->role, row.name);
            if (!emit(to, when, step, name, TENSOR_F64, row.rank, row.dims, at)) return false;
            at += row.dims[0] * (row.rank == 2 ? row.dims[1] : 1);
        }
    }
    return true;
}

bool report_tensors(session *s, enum tensor_when when, int step, const sink *to)
{
    const spec_data *d = &s->spec->data;
    size_t n = (size_t)d->batches, b = (size_t)d->batch, t = (size_t)d->seq_len,
           width = (size_t)s->spec->model.d_model;
    for (int i = 0; i < s->g.n_params; i++) {
        const param *p = &s->g.params[i];
        if (!emit(to, when, step, p->name, REAL_TYPE, p->rank, p->dims, exec_weight(&s->x, i)))
            return false;
    }
    return report_state(s, when, step, to) &&
           emit(to, when, step, "data.tokens", TENSOR_I32, 3, (size_t[]){n, b, t + 1},
                s->data.tokens) &&
           (!s->data.loss_mask || emit(to, when, step, "data.loss_mask", TENSOR_U8, 3,
                                       (size_t[]){n, b, t}, s->data.loss_mask)) &&
           (!s->data.inputs || emit(to, when, step, "data.inputs", REAL_TYPE, 4,
                                    (size_t[]){n, b, t, width}, s->data.inputs)) &&
           (!s->data.grad_seed || emit(to, when, step, "data.grad_seed", REAL_TYPE, 3,
                                       (size_t[]){b, t, width}, s->data.grad_seed));
}

/* Views have a leading dimension of their own; tensors that go out have none. */
static void gather(session *s, const value *v, const real *from, real factor)
{
    size_t rows = (size_t)v->rows * (size_t)s->g.batch, cols = (size_t)v->cols;
    for (size_t r = 0; r < rows; r++)
        for (size_t i = 0; i < cols; i++)
            s->staging[r * cols + i] = factor * from[r * (size_t)v->ld + i];
}

static bool emit_tap(session *s, const tap *t, int step, bool grad, const sink *to)
{
    const real *from = grad ? exec_grad(&s->x, t->value, 0) : exec_value(&s->x, t->value, 0);
    real factor = grad ? (real)(1 / s->x.grad_scale) : 1;
    const value *v = &s->g.values[t->value];
    size_t b = (size_t)s->g.batch, length = (size_t)s->g.seq_len, cols = (size_t)v->cols;
    size_t dims3[] = {b, length, cols}, dims4[] = {b, (size_t)v->rows / length, length, cols};
    char name[64];
    if (!from) return true;
    gather(s, v, from, factor);
    snprintf(name, sizeof name, "%s.%d.%s", grad ? "grad" : "act", t->layer,
             site_registry.rows[t->site]->name);
    return emit(to, TENSOR_PROBE, step, name, REAL_TYPE, t->is_matrix ? 4 : 3,
                t->is_matrix ? dims4 : dims3, s->staging);
}

bool report_probe_tensors(session *s, int step, const sink *to)
{
    for (int i = 0; i < s->g.n_taps; i++) {
        const tap *t = &s->g.taps[i];
        if (t->hidden) continue;
        if (!emit_tap(s, t, step, false, to) || !emit_tap(s, t, step, true, to)) return false;
    }
    for (int i = 0; i < s->g.n_params; i++) {
        const param *p = &s->g.params[i];
        char name[PARAM_NAME + 8];
        if (p->grad_buffer == NONE) continue;
        snprintf(name, sizeof name, "grad.%s", p->name);
        if (!emit(to, TENSOR_PROBE, step, name, REAL_TYPE, p->rank, p->dims,
                  exec_param_grad(&s->x, i)))
            return false;
    }
    return true;
}

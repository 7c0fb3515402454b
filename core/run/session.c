#include "core/run/session.h"

#include "core/graph/rounding.h"
#include "core/loss/loss.h"
#include "core/model/model.h"
#include "core/model/weights.h"
#include "core/optimizer/optimizer.h"
#include "core/theory/theory.h"

/* Parameter tasks are slices of at least TASK_ROWS rows of a matrix, or a whole vector. */
static size_t most_tasks(const run_spec *spec)
{
    enum { TASK_ROWS = 64, BLOCK_TASKS = 24, END_TASKS = 16 };
    const spec_model *m = &spec->model;
    size_t block = (5 * (size_t)m->d_model + 2 * (size_t)m->d_ff) / TASK_ROWS + BLOCK_TASKS;
    size_t ends = (2 * (size_t)m->vocab + (size_t)spec->data.seq_len) / TASK_ROWS + END_TASKS;
    return (size_t)spec->depth * block + ends;
}

size_t session_table_bytes(const run_spec *spec)
{
    graph g;
    arena a;
    arena_init(&a, NULL, 0);
    graph_init(&g, spec, &a);
    size_t buffers = 4 * (size_t)g.max_values + (size_t)g.max_params,
           stages = 3 * (size_t)g.n_segments + 4 * (size_t)g.max_nodes,
           tasks = most_tasks(spec) + (size_t)g.max_nodes;
    size_t plan_bytes = buffers * (sizeof(buffer) + 4 * sizeof(int) + 2 * sizeof(size_t)) +
                        stages * (sizeof(stage) + 4 * sizeof(int)) +
                        (size_t)g.max_values * sizeof(int) + tasks * sizeof(plan_task);
    return a.used + plan_bytes + 64 * ARENA_ALIGN;
}

static err_code build_graph(session *s, const run_spec *spec, arena *meta, error *err)
{
    *s = (session){.spec = spec};
    graph_init(&s->g, spec, meta);
    if (s->g.failed) return error_set(err, ERR_MEMORY, "", "no room for the graph");
    model_table[spec->model.family]->build(&s->g);
    err_code code = graph_finish(&s->g, err);
    if (!code) probe_init(&s->probe, &s->g);
    return code;
}

err_code session_build(session *s, const run_spec *spec, bool want_tensors, arena *meta, error *err)
{
    err_code code = build_graph(s, spec, meta, err);
    if (code) return code;
    s->want_tensors = want_tensors;
    s->backward = spec->train.steps > 0 || want_tensors || extra_any(spec) ||
                  (spec->measure.n_steps && (s->probe.needs & GAUGE_BACKWARD));
    plan_options o = {.keep_param_grads = spec->train.steps > 0 || extra_param_grads(spec),
                      .keep_all = want_tensors,
                      .keep_values = extra_any(spec),
                      .own_grads = round_clips(spec),
                      .backward = s->backward};
    return plan_make(&s->p, &s->g, &o, meta, err);
}

err_code
session_build_as(session *s, const run_spec *spec, const plan_options *o, arena *meta, error *err)
{
    err_code code = build_graph(s, spec, meta, err);
    if (code) return code;
    s->backward = o->backward;
    return plan_make(&s->p, &s->g, o, meta, err);
}

static size_t largest_value(const graph *g)
{
    size_t most = 0;
    for (int i = 0; i < g->n_values; i++) {
        size_t count = (size_t)g->values[i].rows * (size_t)g->values[i].cols;
        if (count > most) most = count;
    }
    return most * (size_t)g->batch;
}

static void layout_training(session *s, arena *a)
{
    const graph *g = &s->g;
    int chunks = 0;
    s->chunk_first = arena_alloc(a, (size_t)(g->n_params + 1) * sizeof *s->chunk_first);
    for (int i = 0; i < g->n_params; i++) {
        if (s->chunk_first) s->chunk_first[i] = chunks;
        chunks += (int)((g->params[i].count + CHUNK - 1) / CHUNK);
    }
    if (s->chunk_first) s->chunk_first[g->n_params] = chunks;
    s->chunk_moved = arena_alloc(a, (size_t)chunks * sizeof *s->chunk_moved);
    s->weight_sq = arena_alloc(a, (size_t)g->n_params * sizeof *s->weight_sq);
    if (!s->spec->train.steps) return;
    for (int i = 0; i < optimizer_table[s->spec->train.optimizer]->n_states; i++)
        s->states[i] = arena_alloc(a, s->p.param_count * sizeof(real));
}

bool session_predicts(const run_spec *spec)
{
    bool at_start = false;
    for (int i = 0; i < spec->measure.n_steps; i++) at_start |= spec->measure.steps[i] == 0;
    return spec->measure.theory && at_start;
}

void session_layout(session *s, int n_threads, arena *a)
{
    const plan *p = &s->p;
    exec *x = &s->x;
    x->g = &s->g;
    x->p = p;
    x->params = arena_alloc(a, p->param_count * sizeof(real));
    x->rounded = s->spec->rounding.weights ? arena_alloc(a, p->param_count * sizeof(real)) : NULL;
    x->clipped = arena_alloc(a, round_clip_layout(&s->g));
    x->grad_scale = s->spec->rounding.loss_scale;
    /* The init's working memory is where the tensors will be. */
    size_t scratch = init_scratch_bytes(&s->g, n_threads);
    x->tensors = arena_alloc(a, scratch > p->tensor_bytes ? scratch : p->tensor_bytes);
    s->init_scratch = (double *)x->tensors;
    x->partials = arena_alloc(a, p->partial_count * sizeof(double));
    x->slices = arena_alloc(a, p->slice_count * sizeof(double));
    x->spread =
        s->probe.needs & GAUGE_SPREAD ? arena_alloc(a, p->slice_count * sizeof *x->spread) : NULL;
    x->stats = arena_alloc(a, p->stat_count * sizeof(double));
    for (int i = 0; i < 2; i++) x->state[i] = arena_alloc(a, p->state_count * sizeof(double));
    x->scratch = arena_alloc(a, p->scratch_reals * (size_t)n_threads * sizeof(real));
    x->constants = arena_alloc(a, s->g.n_constants * sizeof(real));
    s->constants_work = arena_alloc(a, s->g.constants_work * sizeof(double));
    x->losses = arena_alloc(a, (size_t)s->g.batch * sizeof(double));
    s->series = arena_alloc(a, SERIES_COUNT * (size_t)(s->spec->depth + 2) * sizeof(double));
    s->grad_norms = arena_alloc(a, ((size_t)s->spec->train.steps + 1) * sizeof(double));
    batches_layout(&s->data, s->spec, a);
    if (session_predicts(s->spec)) s->theory = arena_alloc(a, theory_bytes(s->spec, false));
    layout_training(s, a);
    probe_layout(&s->probe, &s->g, n_threads, a);
    extra_layout(s, n_threads, a);
    if (s->want_tensors) s->staging = arena_alloc(a, largest_value(&s->g) * sizeof(real));
}

static void fill_constants(session *s)
{
    for (int i = 0; i < s->g.n_nodes; i++) {
        const node *n = &s->g.nodes[i];
        if (n->fill) n->fill(&s->g, n, s->x.constants + n->constants, s->constants_work);
    }
}

void session_fill(session *s, const run_input *input, team *t)
{
    s->x.team = t;
    batches_fill(&s->data, s->spec, input);
    init_fill(&s->g, s->x.params, s->init_scratch, t);
    fill_constants(s);
}

void session_use_batch(session *s, int step)
{
    const spec_data *d = &s->spec->data;
    size_t k = (size_t)(step % d->batches), rows = (size_t)d->batch, length = (size_t)d->seq_len;
    exec *x = &s->x;
    x->tokens = s->data.tokens + k * rows * (length + 1);
    x->loss_mask = s->data.loss_mask ? s->data.loss_mask + k * rows * length : NULL;
    x->inputs =
        s->data.inputs ? s->data.inputs + k * rows * length * (size_t)s->spec->model.d_model : NULL;
    x->grad_seed = s->data.grad_seed;
    x->step = step;
    double places = (double)(rows * length);
    if (x->loss_mask) {
        places = 0;
        for (size_t i = 0; i < rows * length; i++) places += x->loss_mask[i] != 0;
    }
    x->loss_scale = loss_table[s->spec->train.loss]->uses_tokens ? 1 / places : 1;
}

bool session_has_eval(const session *s)
{
    return s->spec->measure.eval && exec_heeds_eval(&s->g);
}

double session_passes(const session *s)
{
    int probes = s->spec->measure.n_steps;
    return s->spec->train.steps + 1 + (session_has_eval(s) ? probes : 0) + probes * extra_passes(s);
}

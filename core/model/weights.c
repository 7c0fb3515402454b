#include "core/model/weights.h"

#include "core/init/draw.h"
#include "core/network/parametrization.h"
#include "core/placement/placement.h"

#include <math.h>

double init_default_std(const run_spec *spec)
{
    const init *row = init_table[spec->init.scheme];
    if (!row->std) return init_usual_std(spec);
    run_spec base = parametrization_base(spec);
    return row->std(&base);
}

/* Of the same law where that has a standard deviation to set. */
static init_rule with_std(init_rule r, double std)
{
    switch (r.law) {
    case INIT_UNIFORM:
        return init_uniform_rule(sqrt(3.0) * std);
    case INIT_TRUNCATED:
        return init_truncated_rule(std, r.cut);
    case INIT_ZERO:
    case INIT_NORMAL:
    case INIT_ORTHOGONAL:
        break;
    }
    return init_normal_rule(std);
}

double init_table_std(const run_spec *spec, bool positions)
{
    const spec_model *m = &spec->model;
    param p = {.kind = positions ? PARAM_POSITION : PARAM_EMBED,
               .dims = {(size_t)(positions ? spec->data.seq_len : m->vocab), (size_t)m->d_model}};
    init_rule r = init_table[spec->init.scheme]->rule(spec, &p);
    bool has_std = r.law == INIT_NORMAL || r.law == INIT_TRUNCATED;
    return r.law == INIT_UNIFORM ? r.scale / sqrt(3.0) : has_std ? r.scale : (double)NAN;
}

/* The standard deviation that the job gives this parameter, or NaN. */
static double given_std(const spec_init *in, const param *p)
{
    if (p->kind == PARAM_HEAD) return in->head_std;
    if (p->kind == PARAM_POSITION && !isnan(in->position_std)) return in->position_std;
    return init_is_table(p) ? in->embed_std : (double)NAN;
}

static init_rule standard_rule(const run_spec *spec, const param *p)
{
    const spec_init *in = &spec->init;
    if (p->kind == PARAM_DISTANCE) return init_normal_rule(init_width_std(spec, 1));
    init_rule r = init_table[in->scheme]->rule(spec, p);
    if (in->depth_scale && p->kind == PARAM_OUTER) r.scale /= sqrt(2.0 * spec->depth);
    if (init_is_block_matrix(p)) r.scale *= in->gain;
    double std = given_std(in, p);
    if (!isnan(std)) r = with_std(r, std);
    init_adjust *adjust = placement_table[spec->strategy.placement]->init;
    return adjust && spec->strategy.init_factor ? adjust(spec, p, r) : r;
}

init_rule init_rule_of(const run_spec *spec, const param *p)
{
    return parametrization_init(spec, p, standard_rule);
}

/* --- filling ---------------------------------------------------------------------------------- */

typedef struct filling {
    const graph *g;
    real *params;
    double *scratch;
    size_t scratch_each; /* doubles of a worker */
    const param *p;      /* fill_slices: the parameter whose slices are the tasks */
} filling;

static void draw(const filling *f, const param *p, const init_rule *rule, int slice, int worker)
{
    init_draw(f->params + p->data, p, rule, slice, f->g->spec->seed,
              f->scratch + (size_t)worker * f->scratch_each);
}

/* Tasks are parameters; those of several slices are left out. */
static void fill_param(void *context, int task, int worker)
{
    const filling *f = context;
    const param *p = &f->g->params[task];
    if (p->rank == 1) {
        for (size_t i = 0; i < p->count; i++) f->params[p->data + i] = (real)p->start;
        return;
    }
    init_rule rule = init_rule_of(f->g->spec, p);
    if (init_slices(p, &rule) == 1) draw(f, p, &rule, 0, worker);
}

/* Tasks are slices of one parameter. */
static void fill_slices(void *context, int task, int worker)
{
    const filling *f = context;
    init_rule rule = init_rule_of(f->g->spec, f->p);
    draw(f, f->p, &rule, task, worker);
}

static size_t scratch_doubles(const graph *g)
{
    size_t most = 0;
    for (int i = 0; i < g->n_params; i++) {
        const param *p = &g->params[i];
        if (p->rank == 1) continue;
        init_rule rule = init_rule_of(g->spec, p);
        size_t count = init_draw_doubles(p, &rule);
        if (count > most) most = count;
    }
    return most;
}

size_t init_scratch_bytes(const graph *g, int n_threads)
{
    return scratch_doubles(g) * (size_t)n_threads * sizeof(double);
}

void init_fill(const graph *g, real *params, double *scratch, team *t)
{
    filling f = {.g = g, .params = params, .scratch = scratch, .scratch_each = scratch_doubles(g)};
    team_run(t, fill_param, &f, g->n_params);
    for (int i = 0; i < g->n_params; i++) {
        f.p = &g->params[i];
        if (f.p->rank == 1) continue;
        init_rule rule = init_rule_of(g->spec, f.p);
        int slices = init_slices(f.p, &rule);
        if (slices > 1) team_run(t, fill_slices, &f, slices);
    }
}

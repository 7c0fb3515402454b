#include "core/init/init.h"

#include "core/math/orthogonal.h"
#include "core/network/parametrization.h"
#include "core/placement/placement.h"

#include "core/base/rng.h"

#include <math.h>
#include <string.h>

const init *const init_table[] = {
#define INIT(name) &init_##name,
#include "core/init/init.def"
#undef INIT
};

static const entry *const rows[] = {
#define INIT(name) &init_##name.entry,
#include "core/init/init.def"
#undef INIT
};

const registry init_registry = {"inits", "how weights start", rows, sizeof rows / sizeof *rows};

/* --- rules ------------------------------------------------------------------------------------ */

init_rule init_zero_rule(void)
{
    return (init_rule){.law = INIT_ZERO};
}

init_rule init_normal_rule(double std)
{
    return (init_rule){.law = INIT_NORMAL, .scale = std};
}

init_rule init_truncated_rule(double std, double cut)
{
    return (init_rule){.law = INIT_TRUNCATED, .scale = std, .cut = cut};
}

init_rule init_uniform_rule(double bound)
{
    return (init_rule){.law = INIT_UNIFORM, .scale = bound};
}

init_rule init_orthogonal_rule(double gain)
{
    return (init_rule){.law = INIT_ORTHOGONAL, .scale = gain};
}

bool init_is_table(const param *p)
{
    return p->kind == PARAM_EMBED || p->kind == PARAM_POSITION;
}

bool init_is(const param *p, const char *prefix)
{
    return strncmp(p->role, prefix, strlen(prefix)) == 0;
}

bool init_is_block_matrix(const param *p)
{
    return p->kind == PARAM_INNER || p->kind == PARAM_OUTER;
}

bool init_is_carrier(const param *p)
{
    return init_is_block_matrix(p) && !init_is(p, "attn.q.") && !init_is(p, "attn.k.");
}

double init_fan_in(const param *p)
{
    return (double)p->dims[1];
}

double init_xavier_std(const param *p)
{
    return sqrt(2.0 / (double)(p->dims[0] + p->dims[1]));
}

double init_width_std(const run_spec *s, double a)
{
    return sqrt(a / s->model.d_model);
}

double init_usual_std(const run_spec *s)
{
    (void)s;
    return 0.02;
}

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
    param p = {.role = positions ? "pos.weight" : "embed.weight",
               .kind = positions ? PARAM_POSITION : PARAM_EMBED,
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

/* --- numbers ---------------------------------------------------------------------------------- */

/* A parameter is drawn in slices: SLICE numbers, or a panel of an orthogonal matrix. */
enum { SLICE = 256 * RNG_BLOCK };

typedef struct filling {
    const graph *g;
    real *params;
    double *scratch;
    size_t scratch_each; /* doubles of a worker */
    const param *p;      /* fill_slices: the parameter whose slices are the tasks */
} filling;

static void fill_normal(real *w, size_t first, size_t n, double std, const rng *r)
{
    double block[RNG_BLOCK];
    for (size_t i = 0; i < n; i += RNG_BLOCK) {
        rng_normal_block(r, (first + i) / RNG_BLOCK, block);
        size_t m = n - i < RNG_BLOCK ? n - i : RNG_BLOCK;
        for (size_t j = 0; j < m; j++) w[i + j] = (real)(std * block[j]);
    }
}

/* Number i beyond the cut is drawn again, from number i of further streams, until it is not: the
 * exact law, and of the same seed the numbers of INIT_NORMAL where those are within the cut. */
static double draw_again(const rng *again, uint64_t i, double cut)
{
    enum { ATTEMPT_BITS = 40 }; /* no parameter has 2^40 entries */
    double z;
    uint64_t attempt = 0;
    do z = rng_normal(again, (attempt++ << ATTEMPT_BITS) + i);
    while (fabs(z) > cut);
    return z;
}

static void fill_truncated(
    real *w, size_t first, size_t n, const init_rule *rule, const rng *r, const rng *again)
{
    double block[RNG_BLOCK];
    for (size_t i = 0; i < n; i += RNG_BLOCK) {
        rng_normal_block(r, (first + i) / RNG_BLOCK, block);
        size_t m = n - i < RNG_BLOCK ? n - i : RNG_BLOCK;
        for (size_t j = 0; j < m; j++) {
            double z = block[j];
            if (fabs(z) > rule->cut) z = draw_again(again, first + i + j, rule->cut);
            w[i + j] = (real)(rule->scale * z);
        }
    }
}

static void fill_uniform(real *w, size_t first, size_t n, double bound, const rng *r)
{
    double block[RNG_BLOCK];
    for (size_t i = 0; i < n; i += RNG_BLOCK) {
        rng_uniform_block(r, (first + i) / RNG_BLOCK, block);
        size_t m = n - i < RNG_BLOCK ? n - i : RNG_BLOCK;
        for (size_t j = 0; j < m; j++) w[i + j] = (real)(bound * (2 * block[j] - 1));
    }
}

/* One panel of columns of Q, which is W, or W transposed where W has more columns than rows. */
static void
fill_orthogonal(real *w, const param *p, int panel, double gain, const rng *r, double *scratch)
{
    size_t out = p->dims[0], in = p->dims[1], m = out > in ? out : in, n = out > in ? in : out;
    size_t first = (size_t)panel * ORTHOGONAL_PANEL;
    size_t width = n - first < ORTHOGONAL_PANEL ? n - first : ORTHOGONAL_PANEL;
    const double *q = scratch;
    orthogonal_panel(scratch, m, first, width, r);
    if (out > in) {
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < width; j++)
                w[i * in + first + j] = (real)(gain * q[i * ORTHOGONAL_PANEL + j]);
    } else {
        for (size_t j = 0; j < width; j++)
            for (size_t i = 0; i < m; i++)
                w[(first + j) * in + i] = (real)(gain * q[i * ORTHOGONAL_PANEL + j]);
    }
}

static int count_slices(const param *p, const init_rule *rule)
{
    if (p->rank == 1) return 1;
    size_t least = p->dims[0] < p->dims[1] ? p->dims[0] : p->dims[1];
    if (rule->law == INIT_ORTHOGONAL)
        return (int)((least + ORTHOGONAL_PANEL - 1) / ORTHOGONAL_PANEL);
    return (int)((p->count + SLICE - 1) / SLICE);
}

static void
fill_slice(const filling *f, const param *p, const init_rule *rule, int slice, int worker)
{
    uint64_t seed = f->g->spec->seed;
    rng r = rng_stream(seed, "init", p->name);
    size_t first = (size_t)slice * SLICE, n = p->count - first < SLICE ? p->count - first : SLICE;
    real *w = f->params + p->data;
    switch (rule->law) {
    case INIT_ZERO:
        memset(w + first, 0, n * sizeof *w);
        return;
    case INIT_NORMAL:
        fill_normal(w + first, first, n, rule->scale, &r);
        return;
    case INIT_TRUNCATED: {
        rng again = rng_stream(seed, "init again", p->name);
        fill_truncated(w + first, first, n, rule, &r, &again);
        return;
    }
    case INIT_UNIFORM:
        fill_uniform(w + first, first, n, rule->scale, &r);
        return;
    case INIT_ORTHOGONAL:
        fill_orthogonal(w, p, slice, rule->scale, &r,
                        f->scratch + (size_t)worker * f->scratch_each);
        return;
    }
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
    if (count_slices(p, &rule) == 1) fill_slice(f, p, &rule, 0, worker);
}

/* Tasks are slices of one parameter. */
static void fill_slices(void *context, int task, int worker)
{
    const filling *f = context;
    init_rule rule = init_rule_of(f->g->spec, f->p);
    fill_slice(f, f->p, &rule, task, worker);
}

static size_t scratch_doubles(const graph *g)
{
    size_t most = 0;
    for (int i = 0; i < g->n_params; i++) {
        const param *p = &g->params[i];
        if (p->rank == 1 || init_rule_of(g->spec, p).law != INIT_ORTHOGONAL) continue;
        size_t longer = p->dims[0] > p->dims[1] ? p->dims[0] : p->dims[1];
        size_t count = orthogonal_doubles(longer);
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
        int slices = count_slices(f.p, &rule);
        if (slices > 1) team_run(t, fill_slices, &f, slices);
    }
}

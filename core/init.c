#include "core/init.h"

#include "core/base/rng.h"

const init *const init_table[] = {
#define INIT(name) &init_##name,
#include "core/init.def"
#undef INIT
};

static const entry *const rows[] = {
#define INIT(name) &init_##name.entry,
#include "core/init.def"
#undef INIT
};

const registry init_registry = {"inits", "how weights start", rows, sizeof rows / sizeof *rows};

double init_std(const run_spec *spec, const param *p)
{
    const spec_init *in = &spec->init;
    bool table = p->kind == PARAM_EMBED || p->kind == PARAM_POSITION;
    if (table && !isnan(in->embed_std)) return in->embed_std;
    if (p->kind == PARAM_HEAD && !isnan(in->head_std)) return in->head_std;
    double std = init_table[in->scheme]->std(in, p);
    return in->depth_scale && p->kind == PARAM_OUTER ? std / sqrt(2.0 * spec->depth) : std;
}

static void fill_normal(real *w, size_t n, double std, const rng *r)
{
    double block[RNG_BLOCK];
    for (size_t i = 0; i < n; i += RNG_BLOCK) {
        rng_normal_block(r, i / RNG_BLOCK, block);
        size_t m = n - i < RNG_BLOCK ? n - i : RNG_BLOCK;
        for (size_t j = 0; j < m; j++) w[i + j] = (real)(std * block[j]);
    }
}

struct filling {
    const graph *g;
    real *params;
};

static void fill_param(void *context, int task, int worker)
{
    (void)worker;
    struct filling *f = context;
    const param *p = &f->g->params[task];
    real *w = f->params + p->data;
    if (p->rank == 1) {
        for (size_t i = 0; i < p->count; i++) w[i] = (real)p->start;
        return;
    }
    rng r = rng_stream(f->g->spec->seed, "init", p->name);
    fill_normal(w, p->count, init_std(f->g->spec, p), &r);
}

void init_fill(const graph *g, real *params, team *t)
{
    struct filling f = {g, params};
    team_run(t, fill_param, &f, g->n_params);
}

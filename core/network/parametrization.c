#include "core/network/parametrization.h"

#include "core/optimizer/optimizer.h"

#include <math.h>
#include <string.h>

static bool is_mup(const run_spec *spec)
{
    return spec->train.parametrization == PARAMETRIZATION_MUP;
}

double parametrization_width(const run_spec *spec)
{
    return is_mup(spec) ? (double)spec->model.d_model / spec->train.base_width : 1;
}

static bool is_adam(const run_spec *spec)
{
    return optimizer_table[spec->train.optimizer]->normalizes;
}

double parametrization_rate(const run_spec *spec, const param *p)
{
    double m = parametrization_width(spec);
    if (is_adam(spec)) return init_is_block_matrix(p) ? 1 / m : 1;
    return init_is_block_matrix(p) ? 1 : m;
}

double parametrization_decay(const run_spec *spec, const param *p)
{
    return 1 / parametrization_rate(spec, p);
}

double parametrization_readout(const run_spec *spec)
{
    return 1 / parametrization_width(spec);
}

double parametrization_logits(const run_spec *spec)
{
    if (!is_mup(spec)) return 1;
    return sqrt((double)spec->train.base_head_dim / spec->model.head_dim);
}

/* A width of this network in the base network. */
static int narrow(const run_spec *spec, size_t width)
{
    double w = round((double)width / parametrization_width(spec));
    return w < 1 ? 1 : (int)w;
}

run_spec parametrization_base(const run_spec *spec)
{
    run_spec base = *spec;
    spec_model *m = &base.model;
    m->d_model = narrow(spec, (size_t)m->d_model);
    m->d_ff = narrow(spec, (size_t)m->d_ff);
    m->head_dim = spec->train.base_head_dim;
    base.train.parametrization = PARAMETRIZATION_STANDARD;
    return base;
}

init_rule parametrization_init(const run_spec *spec, const param *p, parametrization_rule *of_base)
{
    if (!is_mup(spec) || parametrization_width(spec) == 1) return of_base(spec, p);
    run_spec base = parametrization_base(spec);
    param q = *p;
    for (int i = 0; i < q.rank; i++)
        if (i == 1 || init_is_block_matrix(p)) q.dims[i] = (size_t)narrow(spec, p->dims[i]);
    init_rule r = of_base(&base, &q);
    if (init_is_block_matrix(p) && r.law != INIT_ORTHOGONAL)
        r.scale /= sqrt(parametrization_width(spec));
    return r;
}

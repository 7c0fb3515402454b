#include "core/init/init.h"

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

bool init_is_block_matrix(const param *p)
{
    return p->kind == PARAM_INNER || p->kind == PARAM_OUTER;
}

bool init_is_carrier(const param *p)
{
    return init_is_block_matrix(p) && p->matrix != MATRIX_query && p->matrix != MATRIX_key;
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

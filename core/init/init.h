/* Inits: how weights start. One file each under core/init/, one row in init.def.
 *
 * A row gives a rule, a law and its scale, for every matrix and table: a function of what the
 * parameter is (role, kind, layer, fan in and fan out) and of the spec (depth, width, init.std).
 * What is learned and no matrix starts at param.start; biases by distance are N(0, 1/D) whatever
 * the scheme, as with T5. The rule that holds in the end is core/model/weights.h's; numbers are drawn
 * by draw.h.
 */
#ifndef CORE_INIT_INIT_H
#define CORE_INIT_INIT_H

#include "core/graph/graph.h"

typedef enum init_law {
    INIT_ZERO,
    INIT_NORMAL,    /* N(0, scale^2) */
    INIT_TRUNCATED, /* N(0, scale^2) given |x| <= cut scale: less variance than scale^2 */
    INIT_UNIFORM,   /* U(-scale, scale), of variance scale^2 / 3 */
    INIT_ORTHOGONAL /* scale times rows (or columns, the fewer) of a random rotation */
} init_law;

typedef struct init_rule {
    init_law law;
    double scale; /* a factor on the weights is a factor on this */
    double cut;   /* INIT_TRUNCATED */
} init_rule;

typedef struct init {
    entry entry;
    bool depth_scale;                 /* default of init.depth_scale */
    double (*std)(const run_spec *s); /* default of init.std; NULL: the rule has no such number */
    init_rule (*rule)(const run_spec *s, const param *p); /* of a matrix [out, in] or a table */
} init;

/* What a placement makes of the rule of the init: r with another scale, or another law. Called for
 * every matrix and table. */
typedef init_rule init_adjust(const run_spec *spec, const param *p, init_rule r);

#define INIT(name) extern const init init_##name;
#include "core/init/init.def"
#undef INIT

extern const init *const init_table[];
extern const registry init_registry;

/* For the rows. */
init_rule init_zero_rule(void);
init_rule init_normal_rule(double std);
init_rule init_truncated_rule(double std, double cut);
init_rule init_uniform_rule(double bound);
init_rule init_orthogonal_rule(double gain);
bool init_is_table(const param *p);        /* token or position table */
bool init_is_block_matrix(const param *p); /* of a branch: inner or outer */
/* W_V, W_O and the MLP's matrices: through which the signal goes. W_Q and W_K only weigh it. */
bool init_is_carrier(const param *p);
double init_fan_in(const param *p);                 /* of a table: D */
double init_xavier_std(const param *p);             /* sqrt(2 / (fan in + fan out)) */
double init_width_std(const run_spec *s, double a); /* sqrt(a / D) */
double init_usual_std(const run_spec *s);           /* 0.02 */

#endif

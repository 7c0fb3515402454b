/* Inits: how weights start. One file each under core/init/, one row in init.def.
 *
 * A row gives a rule, a law and its scale, for every matrix and table: a function of what the
 * parameter is (role, kind, layer, fan in and fan out) and of the spec (depth, width, init.std).
 * What is learned and no matrix starts at param.start; biases by distance are N(0, 1/D) whatever
 * the scheme, as with T5. init_rule_of is the rule that holds in the end: the row's, then
 * init.depth_scale and init.gain on the matrices of the blocks, then init.embed_std, position_std
 * and head_std, then what the placement makes of it while strategy.init_factor is on; with
 * train.parametrization mup all of this for the base network, scaled to the width
 * (parametrization.h).
 *
 * Numbers come from the stream (seed, "init", name of the parameter), number i for entry i, so they
 * depend neither on the other parameters nor on who draws them. Any team gives the same bits.
 */
#ifndef CORE_INIT_INIT_H
#define CORE_INIT_INIT_H

#include "core/base/arena.h"
#include "core/base/team.h"
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
bool init_is_table(const param *p);               /* token or position table */
bool init_is(const param *p, const char *prefix); /* role begins so: "attn.", "mlp.up." */
bool init_is_block_matrix(const param *p);        /* of a branch: inner or outer */
/* W_V, W_O and the MLP's matrices: through which the signal goes. W_Q and W_K only weigh it. */
bool init_is_carrier(const param *p);
double init_fan_in(const param *p);                 /* of a table: D */
double init_xavier_std(const param *p);             /* sqrt(2 / (fan in + fan out)) */
double init_width_std(const run_spec *s, double a); /* sqrt(a / D) */
double init_usual_std(const run_spec *s);           /* 0.02 */

/* Default of init.std; 0.02 where the scheme has none. With mup that of the base network. */
double init_default_std(const run_spec *spec);

/* What init.embed_std (positions: init.position_std) has to say for the table to be as the scheme
 * has it; NaN where it is no such law. */
double init_table_std(const run_spec *spec, bool positions);

init_rule init_rule_of(const run_spec *spec, const param *p);

/* What init_fill needs besides the parameters, for a team of n_threads. */
size_t init_scratch_bytes(const graph *g, int n_threads);
void init_fill(const graph *g, real *params, double *scratch, team *t);

#endif

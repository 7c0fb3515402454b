/* Initial weights of a network.
 *
 * init_rule_of is the rule that holds in the end: the scheme's (core/init/init.h), then
 * init.depth_scale and init.gain on the matrices of the blocks, then init.embed_std, position_std
 * and head_std, then what the placement makes of it while strategy.init_factor is on; with
 * train.parametrization mup all of this for the base network, scaled to the width
 * (core/network/parametrization.h). What is learned and no matrix starts at param.start. Any team gives
 * the same bits (core/init/draw.h).
 */
#ifndef CORE_MODEL_WEIGHTS_H
#define CORE_MODEL_WEIGHTS_H

#include "core/base/team.h"
#include "core/init/init.h"

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

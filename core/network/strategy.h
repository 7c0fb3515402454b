/* The strategy as one block sees it: overrides and depth rules applied. */
#ifndef CORE_NETWORK_STRATEGY_H
#define CORE_NETWORK_STRATEGY_H

#include "core/spec.h"

/* 1, 1/sqrt(L), 1/L, 1/sqrt(2 L), 1/sqrt(l); enum spec_depth_rule. Outside the blocks l counts as
 * the nearest block. */
double strategy_depth_rule(int rule, int depth, int layer);

/* Does an override reach this block? Thirds are 1..floor(L/3), the next ones to floor(2L/3), the
 * rest; outside the blocks none does. */
bool strategy_covers(const spec_override *o, int depth, int layer);

/* Of block 1..L; what stands outside the blocks (0 and L+1) has no overrides. Of several overrides
 * for a block the last one wins. */
spec_layer strategy_layer(const run_spec *spec, int layer);

/* The factor on the branches of a block: residual_scale x rule x entry of residual_scales. */
double strategy_residual_scale(const run_spec *spec, int layer);

#endif

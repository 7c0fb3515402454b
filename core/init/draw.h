/* How numbers are drawn from the law of an init: of a parameter in slices, so that a team can share one.
 *
 * Numbers come from the stream (seed, "init", name of the parameter), number i for entry i, so they
 * depend neither on the other parameters nor on who draws them.
 */
#ifndef CORE_INIT_DRAW_H
#define CORE_INIT_DRAW_H

#include "core/init/init.h"

int init_slices(const param *p, const init_rule *rule);
/* Doubles of scratch that a slice needs: 0 but for INIT_ORTHOGONAL. */
size_t init_draw_doubles(const param *p, const init_rule *rule);
/* w: all entries of p. */
void init_draw(
    real *w, const param *p, const init_rule *rule, int slice, uint64_t seed, double *scratch);

#endif

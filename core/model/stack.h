/* What families of blocks in a row share: an embedding or given inputs, L blocks of the sublayers of
 * model.mixer and model.mlp by the placement, a head.
 */
#ifndef CORE_MODEL_STACK_H
#define CORE_MODEL_STACK_H

#include "core/base/error.h"
#include "core/graph/graph.h"

/* What the spec's choices have to do with one another in any stack: ERR_COMBINATION with the
 * pointer. */
err_code stack_check(const run_spec *spec, error *err);

/* The whole graph, loss included. */
void stack_build(graph *g);

#endif

/* What one pass costs: operations and bytes, asked of the graph alone.
 *
 * flops counts matrix products only, a multiply-add as 2. Traffic counts the values that ops
 * without products read and write in one pass, each once per op; statistics of rows and parameters
 * are left out, they are small or in cache.
 */
#ifndef CORE_GRAPH_COST_H
#define CORE_GRAPH_COST_H

#include "core/graph/graph.h"

/* Of the whole batch; of a view only its own columns. */
size_t cost_value_bytes(const graph *g, int v);
/* Products of one forward pass. The backward pass has twice as many. */
double cost_pass_flops(const graph *g);
/* Bytes of one forward pass, and with backward of the one that follows it too. */
double cost_pass_traffic(const graph *g, bool backward);

#endif

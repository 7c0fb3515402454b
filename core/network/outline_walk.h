/* The walk over a graph that makes an outline of it. */
#ifndef CORE_NETWORK_OUTLINE_WALK_H
#define CORE_NETWORK_OUTLINE_WALK_H

#include "core/graph/graph.h"
#include "core/network/outline.h"

void outline_walk(const graph *g, outline_visit *visit, void *user);

#endif

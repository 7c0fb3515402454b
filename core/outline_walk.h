/* The walk over a graph that makes an outline of it. */
#ifndef CORE_OUTLINE_WALK_H
#define CORE_OUTLINE_WALK_H

#include "core/graph.h"
#include "core/outline.h"

void outline_walk(const graph *g, outline_visit *visit, void *user);

#endif

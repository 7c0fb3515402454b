/* A drawing of a network: the nodes of its graph (core/network/outline.h) in lanes, what is before the
 * blocks, each kind of block once, and what is after them. As text for people and as JSON for the
 * dashboard.
 *
 * Lanes: a value keeps its lane from the node that makes it to the last one that reads it; a reader
 * before that begins a lane of its own, to the right of all that are in use. So the stream runs
 * down the first lane and each branch beside it, whatever the strategy.
 */
#ifndef SERVER_CATALOGUE_DRAWING_H
#define SERVER_CATALOGUE_DRAWING_H

#include "core/engine.h"
#include "server/text/json_out.h"

enum { DRAWING_STREAMS = 4, DRAWING_LANES = 16 };

/* What blocks of one kind have in common. Inputs of its nodes that come from earlier parts are
 * streams: input.node is then -1 for the first, -2 for the second. */
typedef struct drawing_part {
    int layer; /* of the nodes; the first of this kind */
    int *layers, n_layers;
    outline_node *nodes;
    int *last;  /* per node: the same node in the last layer of this kind, as an index into all */
    int *lanes; /* per node */
    int *until; /* per node: the last node of the part that reads it; n_nodes: a later part does */
    int n_nodes;
    const char *streams[DRAWING_STREAMS]; /* names of what enters */
    int stream_until[DRAWING_STREAMS];
    int n_streams, n_lanes;
} drawing_part;

typedef struct drawing {
    int depth;
    outline_node *all; /* every node of the network */
    int n_all, n_allocated;
    drawing_part *parts;
    int n_parts;
    bool failed;
} drawing;

/* Errors: those of engine.outline, ERR_MEMORY. drawing_deinit also after an error. */
err_code drawing_make(drawing *out, const run_spec *spec, error *err);
void drawing_deinit(drawing *d);

/* {"depth", "parts":[{"layers","streams","lanes","nodes":[…]}]}: schema/drawing.json. */
void drawing_json(json_out *o, const drawing *d);

/* One row for each node. In server/catalogue/drawing_text.c. */
void drawing_text(json_out *o, const drawing *d);

#endif

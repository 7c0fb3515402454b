/* The static graph: values, parameters and nodes, built once and run many times.
 *
 * A value is [B, rows, cols]: one [rows, cols] matrix for each of the B sequences. A view is a
 * range of columns of another value (q, k, v inside the fused projection) and has its leading
 * dimension. Nodes are appended in topological order; shapes are inferred by the op while building.
 * Nodes belong to a segment: 0 the embedding, 1..L the blocks, L+1 the head; segments are the unit
 * of scheduling (plan.h).
 *
 * Nothing here allocates: the tables live in the arena given to graph_init, and a graph that
 * outgrows them sets failed, checked once by graph_finish.
 */
#ifndef CORE_GRAPH_GRAPH_H
#define CORE_GRAPH_GRAPH_H

#include "core/base/arena.h"
#include "core/base/error.h"
#include "core/norm/norm.h"
#include "core/real.h"
#include "core/spec.h"

#include <stddef.h>
#include <stdint.h>

enum { NODE_INPUTS = 3, NODE_OUTPUTS = 5, NODE_PARAMS = 6, NONE = -1, PARAM_NAME = 56 };
enum { NODE_OWN = 128 }; /* bytes: the most that a node has of its op's own */

struct op;

/* What a parameter is, for the init and for weight decay. */
typedef enum param_kind {
    PARAM_EMBED,    /* [V, D] token table */
    PARAM_POSITION, /* [T, D] position table */
    PARAM_HEAD,     /* [V, D] untied output matrix */
    PARAM_INNER,    /* a matrix inside a branch: q, k, v, up, gate */
    PARAM_OUTER,    /* a matrix that writes to the stream: o, down */
    PARAM_GAIN,     /* starts at 1 */
    PARAM_BIAS,     /* starts at 0 */
    PARAM_SHIFT,    /* added to values: of norms that have one beside the bias, and between maps */
    PARAM_LEARNED,  /* another learned number or vector */
    PARAM_DISTANCE  /* [buckets, H] table of biases by distance */
} param_kind;

/* Which matrix of a block it is. */
typedef enum block_matrix {
    MATRIX_NONE, /* it is none */
#define MATRIX(name, text, kind, mixes) MATRIX_##name,
#include "core/graph/matrix.def"
#undef MATRIX
    MATRIX_COUNT
} block_matrix;

/* Of MATRIX_NONE: NULL, false. */
const char *block_matrix_name(block_matrix m); /* "attn.q.weight" */
param_kind block_matrix_kind(block_matrix m);
bool block_matrix_mixes(block_matrix m); /* is it part of what mixes tokens? */

/* Scaling that a parameter gets after init and after each update. */
typedef enum param_projection {
    PROJECT_NONE,
    PROJECT_ROWS,   /* each row to length 1 */
    PROJECT_COLUMNS /* each column to length 1 */
} param_projection;

typedef struct param {
    char name[PARAM_NAME];
    const char *role; /* name without its block prefix; a literal */
    int layer;
    param_kind kind;
    block_matrix matrix;
    int rank;
    size_t dims[2], count;
    double start; /* of rank 1: what every entry starts at */
    param_projection projection;
    size_t data; /* element offset in the parameter block */
    int segment; /* of the node that uses it first in the backward pass */
    int grad_buffer;
    int n_slices;   /* partial sums of squares of the gradient, one per slice */
    size_t slices;  /* first slot */
    int slice_room; /* slots: the most that a node fills */
} param;

typedef struct value {
    int rows, cols, ld; /* of one sequence; ld in elements */
    int parent, column; /* of a view, else NONE */
    int producer;       /* node */
    bool needs_grad;
    int layer;
    int site;        /* enum site or NONE: names the value where a non-finite entry is located */
    bool measured;   /* a tap reads it, or its gradient */
    bool needed;     /* read by a backward pass */
    int buffer[2];   /* plan: where it lives in the forward and in the backward pass */
    int grad_buffer; /* plan; shared with another value when the gradients are equal */
} value;

/* How one input's gradient is formed: out = (base >= 0 ? gradient of value base : 0) + own term.
 * base == out adds in place. */
typedef struct grad_mode {
    int base; /* buffer or NONE */
    bool wanted;
} grad_mode;

struct node;
struct graph;
/* Fills the constants of a node, once per run. work has what constants_work asks for. */
typedef void constants_fill(const struct graph *g, const struct node *n, real *out, double *work);

typedef struct node {
    const struct op *op;
    int inputs[NODE_INPUTS], n_inputs;
    int outputs[NODE_OUTPUTS], n_outputs;
    int params[NODE_PARAMS], n_params;
    int segment;
    int phase; /* plan: of the whole graph, counted from 0 */
    grad_mode grads[NODE_INPUTS];
    size_t partials; /* first of n_panels x partial_count doubles of panel sums, plan */
    size_t partial_count;
    size_t state, state_count; /* doubles that outlive a pass (exec_state); place by the plan */
    size_t stats, stat_count;  /* doubles of one pass (exec_stats); place by the plan */
    size_t clip;               /* place of its marks in exec.clipped: round_clip_layout */
    int first_tap;             /* list of taps on what this node makes, NONE ends it */
    bool recompute;            /* plan: output 0 is written again by the backward pass */
    void *own;                 /* what only its op knows, of this node (graph_own); or NULL */
    const char *role; /* of a norm: name of its site without the block prefix, a literal; or NULL */
    constants_fill *fill; /* NULL: the node has no constants */
    size_t constants;     /* first of them in the block of all constants */
    size_t constant_count;
    int layer;
    unsigned accumulates; /* bit i: parameter i already has a gradient, of another node */
    bool profiled;        /* op.profile is called for it in exec_profile */
    int chain;            /* a later node of the segment with the same vector parameter, or NONE */
    bool chained;         /* an earlier node sums this node's partials with its own */
    int branch_tap;       /* of a sum: the tap on the branch that it adds to the stream, or NONE */
} node;

/* A place to measure. */
typedef struct tap {
    int value;
    int layer;
    site site;
    int also_layer; /* the same tensor under a second name (resid_in of the next block), or NONE */
    site also_site;
    bool is_matrix; /* [H T, T] attention matrix: visible entries only */
    int entropy;    /* attn_prob: the value with the row entropies, else NONE */
    bool hidden;    /* measured for others (grad_norm_rel), not reported */
    bool added;     /* a branch that is added to the stream: some node has it as branch_tap */
    int next;       /* of the same node */
} tap;

typedef struct graph {
    const run_spec *spec;
    int batch, seq_len; /* B, T */
    int n_panels;       /* fixed groups of sequences; the unit of parallel work */
    node *nodes;
    value *values;
    param *params;
    tap *taps;
    int n_nodes, n_values, n_params, n_taps;
    int max_nodes, max_values, max_params, max_taps;
    int segment, n_segments;
    int layer;
    int loss_value; /* [1, 1] per sequence */
    int *stream;    /* [L + 1] the value that leaves block l; 0: that enters the first */
    size_t n_constants, constants_work; /* doubles: the most that a fill asks for */
    int reference_tap; /* resid_out of the last block: what grad_norm_rel divides by */
    char *own;         /* of all nodes, own_used of max_own bytes */
    size_t own_used, max_own;
    bool failed;
    node spare_node; /* what the builders write to once failed is set */
    _Alignas(max_align_t) char spare_own[NODE_OWN];
    value spare_value;
} graph;

/* Sizes the tables for the spec; with a counting arena nothing is touched. */
void graph_init(graph *g, const run_spec *spec, arena *a);
err_code graph_finish(const graph *g, error *err);

/* First sequence of a panel; panel n_panels gives B. */
int graph_panel_start(const graph *g, int panel);

int graph_value(graph *g, int rows, int cols);
int graph_view(graph *g, int parent, int column, int cols);
int graph_root(const graph *g, int v); /* what v is a view of, or v */
/* Adds a parameter of the current layer; role as in "attn.q.weight". dims1 0 makes a vector. */
int graph_param(graph *g, param_kind kind, const char *role, size_t dims0, size_t dims1);
/* A matrix of the block. */
int graph_matrix(graph *g, block_matrix which, size_t rows, size_t cols);
/* A vector that starts at start in every entry. */
int graph_vector(graph *g, param_kind kind, const char *role, size_t n, double start);
/* The parameter of the current block with this role, or NONE. */
int graph_block_param(const graph *g, const char *role);
/* n reads a vector parameter that a node of the same segment may read too: their sums are added. */
void graph_share(graph *g, node *n);
/* n needs count constants that fill makes with so many doubles of work space; NULL: none. */
void graph_constants(graph *g, node *n, size_t count, constants_fill *fill, size_t work);
/* The parameter with this full name, or NONE. */
int graph_find_param(const graph *g, const char *name);
node *graph_node(graph *g, const struct op *kind);
/* size bytes, all zero, at n->own: what its op knows of it and nothing else does. */
void *graph_own(graph *g, node *n, size_t size);

/* Names a value as a site of the current layer; measured when the spec selects it. Returns the tap
 * or NULL. */
tap *graph_site(graph *g, int value, site s);
int graph_hidden_tap(graph *g, int value); /* index, or NONE */

/* After the last node: which values get a gradient. First outputs and views do; attention matrices
 * only where they are measured. */
void graph_mark_gradients(graph *g);

#endif

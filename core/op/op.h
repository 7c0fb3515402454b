/* Ops: one file each under core/op/, one row in op.def; core/graph/op.h says what a row is. Here
 * are the table and what puts an op into a graph.
 */
#ifndef CORE_OP_OP_H
#define CORE_OP_OP_H

#include "core/graph/exec.h"
#include "core/graph/graph.h"
#include "core/graph/op.h"

struct activation;
struct gain_map;
struct position;

#define OP(name) extern const op op_##name;
#include "core/op/op.def"
#undef OP

extern const registry op_registry;

/* Builders: append the node, return output 0. */
int op_embed_build(
    graph *g, int table, int positions, const struct position *position, double scale);
int op_input_build(graph *g);
/* x plus positions: table NONE, or [T, cols]; kind's fixed rows. */
int op_place_build(graph *g, int x, int table, const struct position *kind);
int op_centre_build(graph *g, int x); /* x minus its mean over features */
/* y = x W' (+ b): n_weights row-adjacent matrices make one output of their summed width. biases
 * NULL, or entries NONE: no bias. */
int op_linear_build(graph *g, int x, const int *weights, const int *biases, int n_weights);
int op_linear_matrices(const node *n);
/* y = c x W' (+ b), c constant: no pass over x more. */
int op_linear_scaled_build(
    graph *g, double c, int x, const int *weights, const int *biases, int n_weights);
typedef struct norm_args {
    const norm *norm;
    int params[NORM_PARAMS]; /* of each kind, or NONE */
    int groups;              /* sub-rows per row */
    bool own_gains;          /* each group has gains of its own; else they share one set */
    bool unit_offset;        /* the gain is 1 + w */
    bool frozen;             /* divides by a constant measured once (op.profile) */
    bool first_apart;        /* frozen: the first position has a constant of its own */
    const char *role;        /* name of the site, for state; a literal */
    double eps;
} norm_args;
int op_norm_build(graph *g, int x, const norm_args *how);
const norm_args *op_norm_args(const node *n);
/* What a norm with batch statistics (core/norm/over_batch.h) has beside gain and bias. */
typedef struct batch_norm_args {
    norm_args norm;
    int eta;      /* or NONE */
    int layer[2]; /* gain and bias of the LayerNorm it is blended with; or NONE */
} batch_norm_args;
/* With what belongs in front of it and beside it. */
int op_batch_norm_build(graph *g, int x, const batch_norm_args *how);
double op_batch_norm_lambda(const exec *x, const node *n); /* of this pass */
/* y = lambda a + (1 - lambda) b, lambda that of the batch norm that made b. */
int op_blend_build(graph *g, int a, int b);
int op_blend_partner(const node *n); /* the node that made b */
int op_add_build(graph *g, int a, int b);
int op_admin_build(graph *g, int x, int f, int omega);          /* omega x + f */
int op_mix_build(graph *g, double ca, int a, double cb, int b); /* ca a + cb b */
double op_mix_factor(const node *n, int input);
int op_scale_build(graph *g, int x, double scale);
void op_scale_by_power(const node *n, int exponent); /* scale times 2^exponent, from now on */
/* c f(p) x; p has 1, a divisor of, or all the features' number of entries, in one vector or in n_p
 * that were added to the graph one after another. Two nodes of a block may share p. */
int op_gain_build(graph *g, int x, const int *p, int n_p, const struct gain_map *map, double scale);
int op_shift_build(graph *g, int x, int p); /* x + p; p has 1 or all the features' entries */
int op_activate_build(graph *g, int x, const struct activation *activation);
/* Entries of x at random at the lower limit of SELU, then scaled and moved. */
int op_alpha_dropout_build(graph *g, int x, double rate);
double op_alpha_dropout_factor(double rate); /* a */
double op_alpha_dropout_limit(void);         /* s */
/* The first `turned` features of each head turn, in pairs (j, j + turned/2). */
int op_rope_build(graph *g, int x, int heads, int turned, double base);
/* y[t] = d_t x[t], d constant: fill makes [T]. */
int op_row_scale_build(graph *g, int x, constants_fill *fill, size_t work);
/* Uniform attention: the mean over the tokens that t sees. */
int op_token_mean_build(graph *g, int x, bool causal);
/* x = z E' becomes z times the rows of E at length 1; E the table [V, D]. */
int op_unit_rows_build(graph *g, int x, int table);
int op_softcap_build(graph *g, int x, double cap); /* c tanh(x/c) */
/* Outputs: 0 values [T, H dk], 1 probabilities [H T, T], 2 logits [H T, T], 3 entropy [H, T], 4 row
 * maximum and inverse row sum [H, 2 T]. */
typedef struct attention_args {
    int heads, kv_heads;
    bool causal;
    int window;           /* keys a query sees; 0: all (before it, when causal) */
    double scale;         /* of q k' */
    int tau;              /* parameter [heads], scale times exp(min(tau, ln 100)); or NONE */
    double softcap;       /* NaN: none */
    constants_fill *bias; /* fills [T, T] that is added to the logits; NULL: none */
    size_t bias_work;     /* doubles of work space for it */
    int by_distance;      /* parameter [buckets, heads] of position; or NONE */
    const struct position *position;
} attention_args;
int op_attention_build(graph *g, int q, int k, int v, const attention_args *how);
const attention_args *op_attention_args(const node *n);
/* Query i sees keys first..end-1. */
size_t op_attention_first(const node *n, size_t i);
size_t op_attention_end(const node *n, size_t i, size_t length);
int op_cross_entropy_build(graph *g, int logits);
int op_project_build(graph *g, int x);

#endif

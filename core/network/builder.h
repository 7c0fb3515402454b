/* Building blocks for placements and models: each call appends nodes, names sites and parameters.
 *
 * A placement composes builder_norm, builder_attention, builder_mlp and builder_add; it holds no
 * arithmetic of its own.
 */
#ifndef CORE_NETWORK_BUILDER_H
#define CORE_NETWORK_BUILDER_H

#include "core/activation/activation.h"
#include "core/graph/graph.h"
#include "core/network/strategy.h"
#include "core/norm/norm.h"
#include "core/op/gain_map.h"
#include "core/position/position.h"

/* Where a norm sits: SLOT(enum name, parameter prefix, site or NONE, part, is_out). part says which
 * start of alpha it takes; the gain of an is_out norm starts by out_gain_init. */
#define NORM_SLOTS(SLOT)                                                                           \
    SLOT(ATTN_IN, "attn.norm_in", SITE_norm1_out, PART_ATTN, false)                                \
    SLOT(ATTN_OUT, "attn.norm_out", NONE, PART_ATTN, true)                                         \
    SLOT(ATTN_POST, "attn.norm_post", NONE, PART_ATTN, false)                                      \
    SLOT(ATTN_INNER, "attn.norm_inner", NONE, PART_ATTN, false)                                    \
    SLOT(ATTN_Y, "attn.norm_y", NONE, PART_ATTN, false)                                            \
    SLOT(ATTN_Q, "attn.q_norm", NONE, PART_ATTN, false)                                            \
    SLOT(ATTN_K, "attn.k_norm", NONE, PART_ATTN, false)                                            \
    SLOT(ATTN_V, "attn.v_norm", NONE, PART_ATTN, false)                                            \
    SLOT(MLP_IN, "mlp.norm_in", SITE_norm2_out, PART_MLP, false)                                   \
    SLOT(MLP_OUT, "mlp.norm_out", NONE, PART_MLP, true)                                            \
    SLOT(MLP_POST, "mlp.norm_post", NONE, PART_MLP, false)                                         \
    SLOT(MLP_INNER, "mlp.norm_inner", NONE, PART_MLP, false)                                       \
    SLOT(MLP_Y, "mlp.norm_y", NONE, PART_MLP, false)                                               \
    SLOT(EMBED, "embed_norm", NONE, PART_ATTN, false)                                              \
    SLOT(FINAL, "final_norm", NONE, PART_FINAL, false)                                             \
    SLOT(FINAL_X, "final_norm_x", NONE, PART_FINAL, false)                                         \
    SLOT(FINAL_Y, "final_norm_y", NONE, PART_FINAL, false)

typedef enum norm_slot {
#define SLOT(name, prefix, site, part, is_out) SLOT_##name,
    NORM_SLOTS(SLOT)
#undef SLOT
} norm_slot;

typedef struct builder builder;

/* A sublayer of a block, as placements meet it: a branch off the stream, and the places of its
 * norms. A family offers a list of them. */
typedef struct branch {
    bool one_matrix;                 /* no matrix behind the activation */
    bool is_mlp;                     /* it looks at one token alone */
    int (*build)(builder *b, int x); /* what it makes of its input, its last matrix included */
    norm_slot in, out, post, beside; /* beside: of a second stream that it reads */
    site site;                       /* what it adds to the stream */
    const char *gain;                /* the parameter of strategy.branch_gain */
} branch;

extern const branch branch_attention, branch_mlp, branch_layer;

/* What a placement has inside the branches; each is NULL, or false, where it has nothing there. */
typedef struct branch_hooks {
    constants_fill *logit_bias; /* [T, T] added to the logits, with so many doubles of work space */
    size_t (*bias_work)(const run_spec *spec);
    int (*beside)(builder *b, int v); /* a value made of the values besides their weighted sums */
    int (*weighted)(builder *b, int y, int beside); /* weighted values and it, as one */
    int (*values)(builder *b, int y);               /* weighted values of all heads, before W_O */
    int (*hidden)(builder *b, int h);               /* MLP units after the activation, before W_2 */
    int (*hidden_in)(builder *b, int h);            /* MLP units before the activation */
    int (*turned)(builder *b, int x, bool key);     /* queries or keys after rope */
    bool gpas_first; /* gpas scales the stream before the sum, not after it */
} branch_hooks;

struct builder {
    graph *g;
    const run_spec *spec;
    const branch *const *sublayers; /* of the family: a block is one after the other */
    int n_sublayers;
    const branch_hooks *inside; /* of the placement whose block is built */
    const activation *activation;
    const position *position;
    spec_layer layer; /* the strategy in this block */
    int width;        /* features of the stream */
    int second;       /* second stream of placements that have one, or NONE */
    double in_scale;  /* constant on what the branches of this block read; 1 unless set */
    int entered;      /* MLP input or whatever else a placement keeps within a block, or NONE */
};

/* Begins block l (0: what stands before the blocks, L+1: after them). */
void builder_begin(builder *b, int layer);

int builder_norm(builder *b, norm_slot slot, int x);
/* With another norm, and rows cut into groups that share the gain. */
int builder_norm_as(builder *b, norm_slot slot, const norm *n, int x, int groups);
/* What the MLP of a parallel block reads: the attention's input in, or with strategy.parallel_norms
 * 2 a norm of x of its own. */
int builder_parallel_norm(builder *b, int x, int in);
int builder_attention(builder *b, int x); /* after W_O; site attn_raw */
int builder_mlp(builder *b, int x);       /* after W_2; site mlp_raw */
int builder_layer(builder *b, int x);     /* after the activation: there is no W_2 */

/* What a branch adds to the stream, from its output y: branch gain, residual scale, recentring;
 * named as the branch's site. */
int builder_branch(builder *b, const branch *which, int y);
/* x + builder_branch(y). */
int builder_add(builder *b, const branch *which, int x, int y);
/* alpha x + builder_branch(y), alpha a constant. */
int builder_add_scaled(builder *b, const branch *which, double alpha, int x, int y);
/* What strategy.gpas makes of the stream x before, or after, the sum with this branch: part of
 * builder_add. */
int builder_gpas(builder *b, const branch *which, bool before, int x);
int builder_mid(builder *b, int x); /* names the stream between the sublayers; returns x */

/* x times, or plus, a learned vector of n numbers that start at start. A gain of this role that the
 * block has already is used again. */
int builder_gain(builder *b, const char *role, size_t n, double start, int x);
/* x times scale f(p). */
int builder_gain_as(
    builder *b, const char *role, size_t n, double start, const gain_map *map, double scale, int x);
int builder_shift(builder *b, const char *role, size_t n, double start, int x);
/* After the last node: where each measured branch meets the stream, which is the last sum of its
 * block that reads it. */
void builder_pair_branches(graph *g);

#endif

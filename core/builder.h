/* Building blocks for placements and models: each call appends nodes, names sites and parameters.
 *
 * A placement composes builder_norm, builder_attention, builder_mlp and builder_add; it holds no
 * arithmetic of its own.
 */
#ifndef CORE_BUILDER_H
#define CORE_BUILDER_H

#include "core/activation.h"
#include "core/graph.h"
#include "core/norm.h"
#include "core/position.h"

/* Where a norm sits in a block. Each slot has its parameter role and, where it is a site, its name.
 */
typedef enum norm_slot {
    SLOT_ATTN_IN,   /* attn.norm_in, site norm1_out */
    SLOT_ATTN_OUT,  /* attn.norm_out */
    SLOT_ATTN_POST, /* attn.norm_post */
    SLOT_MLP_IN,    /* mlp.norm_in, site norm2_out */
    SLOT_MLP_OUT,   /* mlp.norm_out */
    SLOT_MLP_POST,  /* mlp.norm_post */
    SLOT_EMBED,     /* embed_norm */
    SLOT_FINAL      /* final_norm */
} norm_slot;

typedef enum branch { BRANCH_ATTN, BRANCH_MLP } branch;

typedef struct builder {
    graph *g;
    const run_spec *spec;
    const norm *norm;
    const activation *activation;
    const position *position;
    int stream_tap; /* tap on the stream that enters the block, or NONE */
} builder;

int builder_norm(builder *b, norm_slot slot, int x);
int builder_attention(builder *b, int x); /* after W_O; site attn_raw */
int builder_mlp(builder *b, int x);       /* after W_2; site mlp_raw */
/* x + residual_scale * y, y named as the branch's site. */
int builder_add(builder *b, branch which, int x, int y);
int builder_mid(builder *b, int x); /* names the stream between the sublayers; returns x */

#endif

/* What theory has to know of a placement: a row of constants in the placement's own file.
 *
 *   x_1 = N_stream(x), where there is one
 *   b   = N_out(W_out N_inner(f(N_pre(W_in N_in(x_1) c))))
 *   y   = N_post(alpha x_1 + beta b)           no_skip: y = b
 *
 * for the attention and the MLP of each block. Factors that every placement may have (residual
 * scale, branch gain) are not here. Functions may be NULL: 1.
 */
#ifndef CORE_PLACEMENT_RECIPE_H
#define CORE_PLACEMENT_RECIPE_H

#include "core/base/catalog.h"
#include "core/math/target_kernel.h"
#include "core/spec.h"

struct placement;

typedef struct recipe_sublayer {
    bool stream, in, pre, inner, out, post;
    bool around; /* MLP: the block's input is added to its sum, too */
} recipe_sublayer;

typedef enum recipe_mixing {
    RECIPE_SOFTMAX,
    RECIPE_IDENTITY, /* at the start attention is the identity on the values */
    RECIPE_TARGET    /* a constant matrix that carries target kernels */
} recipe_mixing;

typedef struct recipe {
    bool known;       /* false: theory says nothing of this placement, */
    reason unknown;   /* because of this; REASON_NONE: it has no recipe */
    bool stream_only; /* there is more than this stream: only it is followed, and only forward */
    bool no_skip;     /* the stream is what the branches make */
    bool toward;      /* what is added is beta (b - x), and alpha 1 - beta */
    bool profiled;    /* alpha of a sublayer: what exec_profile finds (core/op/admin.c) */
    bool unit;        /* norms make rows of length 1, and so are queries and keys */
    recipe_sublayer attn, mlp;
    double (*alpha)(const run_spec *spec, int layer);
    double (*beta)(const run_spec *spec, int layer);
    double (*in_scale)(const run_spec *spec, int layer);              /* c */
    const struct placement *(*kind)(const run_spec *spec, int layer); /* whose block this is */
    recipe_mixing mixing;
    target_family family;
    double (*target_end)(const run_spec *spec);
} recipe;

#endif

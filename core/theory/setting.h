/* From a run_spec to what theory computes with: the stages of each block, the kernel of the first
 * stream, the kernel of the loss's gradient. Reads the registries and the rules of the init, builds
 * no graph and allocates nothing.
 */
#ifndef CORE_THEORY_SETTING_H
#define CORE_THEORY_SETTING_H

#include "core/theory/block.h"

/* What the run reads at its first step; tokens NULL: expectations over the data source. */
typedef struct theory_data {
    const int32_t *tokens;    /* [B, T + 1] */
    const uint8_t *loss_mask; /* [B, T] or NULL */
} theory_data;

typedef struct setting {
    const run_spec *spec;
    tokens tokens;
    pair act, curve_tanh, curve_erf;
    double *turn[2]; /* rope: factors on the logit kernel, in blocks that see all and local ones */
    sight sights[2]; /* of blocks that see all and of local ones */
    double *given;   /* [n, n] constant mixing matrix of the current block */
    double *given_work;
    bool exchangeable;
} setting;

enum { SETTING_KERNELS = 3 };

/* most: groups of tokens; kernels: SETTING_KERNELS of them; both: kernels with two halves. */
void setting_init(setting *s, const run_spec *spec, int most, bool both, double *kernels);
/* Mean square entry of a matrix of the blocks, and how many it has: "mlp.up.weight", … */
double setting_entry(const setting *s, int layer, const char *matrix, double *entries);
/* No law for this spec: why, else REASON_NONE. */
reason setting_reason(const run_spec *spec);
/* attn or mlp of block layer. */
void setting_sublayer(setting *s, int layer, bool mlp, sublayer *out);
/* The norm before the head; STEP_NONE without one. */
norm_step setting_final(const setting *s);
/* x_0, its error, and the feature means of fixed positions. */
void setting_stream(
    setting *s, const theory_data *data, stream *x, hermite_series *series, double *spare);

typedef struct loss_seed {
    reason reason; /* why the scale of the gradient is not known; its kernel is */
    bool shape_known;
    /* |g_i|^2 and g_i.g_j, i != j, at the last site, from the loss; g_i.g_j of two sequences */
    double own, other, across;
    double loss;     /* nats; NaN: not defined by tokens */
    double loss_var; /* of one seed */
    double logit_var;
} loss_seed;

/* final: of the last site; across: mean correlation of the tokens of two sequences there, NaN where
 * it is not followed; share: of it that is the embedding, which a tied output matrix recognises. */
loss_seed setting_loss(
    const setting *s, const theory_data *data, kernel_mean final, double across, double share);

#endif

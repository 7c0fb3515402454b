/* From a run_spec to what theory computes with: the stages of each block, the kernel of the first
 * stream. Reads the registries and the rules of the init, builds no graph and allocates nothing.
 */
#ifndef CORE_THEORY_SETTING_H
#define CORE_THEORY_SETTING_H

#include "core/network/slot.h"
#include "core/theory/block.h"

/* What the run reads at its first step; tokens NULL: expectations over the data source. */
typedef struct theory_data {
    const int32_t *tokens;    /* [B, T + 1] */
    const uint8_t *loss_mask; /* [B, T] or NULL */
} theory_data;

typedef struct setting {
    const run_spec *spec;
    const branch *sublayers[SLOTS]; /* of a block, in order */
    int n_sublayers;
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
/* Mean square entry of a matrix of the blocks, and how many it has. */
double setting_entry(const setting *s, int layer, block_matrix which, double *entries);
/* No law for this spec: why, else REASON_NONE. */
reason setting_reason(const run_spec *spec);
/* Is there no matrix behind the MLP's activation? Do errors go by the derivatives of its map? */
bool setting_one_matrix(const run_spec *spec);
bool setting_is_mapped(const run_spec *spec);
/* Number i of the sublayers of a block. */
void setting_sublayer(setting *s, int layer, int i, sublayer *out);
/* The norm before the head; STEP_NONE without one. */
norm_step setting_final(const setting *s);
/* x_0, its error, and the feature means of fixed positions. */
void setting_stream(
    setting *s, const theory_data *data, stream *x, hermite_series *series, double *spare);

/* What the run reads at a place; a masked one reads 0. */
int32_t setting_token(const run_spec *spec, const theory_data *data, int b, int t);
/* Mean square entry of the output matrix, factors of the parametrization included. */
double setting_readout_entry(const run_spec *spec);

#endif

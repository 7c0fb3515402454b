/* Norms whose statistics are taken over all tokens of the batch, channel by channel. A row of the
 * norms registry points to one of these tables; op batch_norm makes the sums over tokens and calls
 * the functions below between them, once in a pass, in double, on one thread.
 *
 * All of them are one map per channel, with z = (x - shift) scale and g = gain dy:
 *
 *   y  = gain z + bias + eta x                  shift and scale from forward, or from eval
 *   dx = along_g g + along_z z + constant + eta dy        the three from backward
 *   dgain = weight sum(dy z),  dbias = sum(dy),  deta = sum(dy x), over channels too
 *
 * With eval the statistics are constants: dx = scale g + eta dy, which is exact.
 *
 * State is what a norm remembers from one training step to the next: rows of doubles that begin at
 * start. now is what it was before this step; next holds a copy of it, to be changed, and counts
 * only once the step is made (exec_commit): a pass may be run again, and an eval pass changes
 * nothing. All tokens are valid: the data have no padding, so no mask excludes any.
 */
#ifndef CORE_NORM_OVER_BATCH_H
#define CORE_NORM_OVER_BATCH_H

#include "core/spec.h"

#include <stddef.h>

enum { BATCH_STATES = 6 };

typedef enum batch_shape {
    BATCH_ONE,      /* one number */
    BATCH_CHANNELS, /* [n] */
    BATCH_WINDOW    /* [strategy.stat_window, n] */
} batch_shape;

typedef struct batch_state {
    const char *name; /* as in the paper's own code where it has a name */
    batch_shape shape;
    double start;
} batch_state;

typedef struct batch_pass {
    const spec_strategy *strategy;
    size_t n;      /* channels */
    double tokens; /* of the batch */
    double eps;
    int step; /* of training, counted from 1 */
    const double *now[BATCH_STATES];
    double *next[BATCH_STATES];
    const double *mean, *var;  /* [n] of the batch, centred norms; biased variance */
    const double *square;      /* [n] mean of x^2 of the batch, norms that are not centred */
    double *shift, *scale;     /* [n] */
    double *kept;              /* [n] from forward to backward, for the norm's own use */
    double *kept_one;          /* one such number */
    const double *g, *gz;      /* [n] means over tokens of g and of g z */
    double *along_g, *along_z; /* [n] */
    double *constant;          /* [n] 0 */
    double *weight;            /* [n] 1; set by forward where it differs */
} batch_pass;

typedef struct batch_norm {
    bool centred; /* forward sees mean and var, else square */
    bool has_eta;
    bool group_scales;                /* strategy.group_scale applies */
    batch_state states[BATCH_STATES]; /* the first is "steps", made by the op; ends with no name */
    void (*forward)(batch_pass *p);
    void (*eval)(batch_pass *p);
    void (*backward)(batch_pass *p);
    double (*lambda)(const batch_pass *p); /* in training y is blended with a LayerNorm of x, whose
                                              share this is; NULL: it is not */
} batch_norm;

/* eval of norms that do not centre and keep a running mean square in the first row after steps. */
void batch_norm_eval_square(batch_pass *p);

#endif

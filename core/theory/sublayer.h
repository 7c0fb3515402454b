/* One sublayer of a block as theory sees it, the stream that it reads and changes, and what is left of
 * its way through for those who measure and for the way back. block.h says how.
 */
#ifndef CORE_THEORY_SUBLAYER_H
#define CORE_THEORY_SUBLAYER_H

#include "core/base/catalog.h"
#include "core/theory/mixing.h"
#include "core/theory/pair.h"

typedef enum step_kind { STEP_NONE, STEP_ROW, STEP_POINT } step_kind;

typedef struct norm_step {
    step_kind kind;
    double target;     /* mean square of what it makes of a row */
    double eps;        /* STEP_ROW: beside the mean square */
    double alpha_sq;   /* STEP_POINT: f(alpha x) */
    const pair *curve; /* STEP_POINT */
    double kept;       /* share of a gradient that it lets through */
    bool centres;
    bool frozen; /* divides by one number for all tokens */
} norm_step;

typedef struct sublayer {
    bool is_mlp, is_last; /* of the block */
    bool one_matrix;      /* MLP: none behind the activation */
    bool mapped;          /* errors go by the derivatives of its map */
    bool no_skip, around, parallel, toward;
    site site; /* what it adds to the stream */
    norm_step stream, in, pre, inner, out, post;
    double alpha, beta; /* factors of the stream and of the branch */
    double in_scale;
    mixing mix;      /* attention; its gain is that of W_V */
    const pair *act; /* MLP */
    bool gated;
    double dropout;          /* MLP: rate of its alpha dropout */
    double gain_in, gain_up; /* MLP: of the (gate's) matrix, of the ungated half */
    double gain_out;         /* of W_O, W_2; one_matrix: 1 */
    double boost;            /* MLP: learned factor behind W_1, squared */
    double matrix[3];        /* attention: what W_Q, W_K, W_V alone multiply a kernel by */
    int width;               /* D */
    int hidden;              /* F; attention: the width of the values of all heads */
} sublayer;

typedef struct spread {
    double pp, pu, uu; /* covariance of p and u */
} spread;

typedef struct stream {
    double *k;             /* kernel */
    double mu[TOKENS_MAX]; /* mean over features of a token; 0 but for fixed positions */
    spread error;
    double ratio[TOKENS_MAX]; /* of a block's input: what its attention's norm made of it */
    double share;             /* of the mean square that is still the token's embedding */
    /* mapped: of the correlation of a pair of tokens, its variance and how far that moves the mean */
    double pair_var, drift;
    bool unstable; /* the map amplifies what one run draws by chance beyond what derivatives tell */
} stream;

/* What sublayer_forward leaves for those who measure and for sublayer_backward. */
typedef struct trace {
    double *in;     /* what the branch reads */
    double *values; /* attention: weighted values; MLP: hidden units after the activation */
    double *raw;    /* after the last matrix */
    double *branch; /* what is added */
    double *sum;    /* before the norm on the stream */
    /* [n] means over features of branch and sum, where one_matrix; given by the caller, or NULL */
    double *branch_mu, *sum_mu;
    double *entropy; /* [n] attention: of the rows; given by the caller, or NULL */
    double excess;
    double branch_error;        /* relative variance of the mean square of branch */
    double own_error, in_error; /* mapped: what is new in it, and of ln of the stream's before it */
} trace;

#endif

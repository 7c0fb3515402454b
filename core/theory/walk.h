/* What the walk through a network carries: theory.c moves it along, tell.c tells rows of it. */
#ifndef CORE_THEORY_WALK_H
#define CORE_THEORY_WALK_H

#include "core/result.h"
#include "core/theory/setting.h"
#include "core/theory/spread.h"

enum { WALK_ROWS = 128 };

/* A sublayer that the backward walk comes back to: the kernel it reads, and what it makes of it. */
typedef struct kept {
    double *k, *mu; /* mu: where the stream has means over features; else NULL */
    trace made;
} kept;

typedef struct walk {
    const run_spec *spec;
    const sink *to;
    setting s;
    int each;       /* sublayers of a block */
    int every;      /* blocks of a segment */
    kept *kept;     /* [every, each] */
    double *starts; /* kernels at the start of each segment, and their mu */
    double (*start_mu)[TOKENS_MAX];
    stream x;
    double *grad, *to_base, *sum_grad, *work, *kernels, *base;
    hermite_series *series;
    double *ratio;                   /* [each L + 1] profiled factors of the stream */
    double *var, *grad_norm, *apart; /* [L + 1] for the fits */
    double apart_error;              /* of ln of the last apart, one standard deviation */
    law stream_law;
    bool parameters;      /* their gradients too */
    double last_grad;     /* |G_L|^2 of one token */
    double *past;         /* kernel of the gradient past the last norm, but for its factor */
    double joint, shared; /* readout.h */
    double first_share;   /* of x_0 that is the token's embedding */
    double error;         /* relative variance of the gradient, */
    swing swing;          /* and what comes with the forward pass */
    double bias;          /* of ln |G|: what theory leaves out, at most */
    double *in_error;     /* [L] of ln of the stream's mean square before mapped MLPs; or NULL */
    size_t n;
    prediction rows[WALK_ROWS];
} walk;

/* Numbers of one kernel. */
static inline size_t walk_each(const walk *w)
{
    return tokens_doubles(&w->s.tokens);
}

/* Relative variance of the gradient's mean square. */
static inline double walk_error(const walk *w)
{
    return w->error + w->swing.variance;
}

/* Does the stream go past the sublayer, so that it has a branch? */
static inline bool walk_adds(const sublayer *s)
{
    return !s->no_skip && s->alpha != 0;
}

#endif

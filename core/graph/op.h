/* What an op fills: a shape rule (its builder function, core/op/op.h), a forward pass, a backward
 * pass for its inputs, and tasks for its parameters' gradients.
 *
 * forward and backward are called for a span of sequences, possibly on several threads at once for
 * disjoint spans; sums over all tokens (parameter gradients) are made afterwards by param_task, cut
 * into n_param_tasks fixed pieces. Ops allocate nothing; scratch is per worker (exec.h).
 *
 * An op that sums over the whole batch (batch_norm) has prepare and stands at the head of a phase
 * (plan.h). It is then called in this order, each "once" after all spans of the line before:
 *
 *   forward    prepare(span): panel sums of the inputs    reduce(): statistics    forward(span)
 *   backward   backward_prepare(span): panel sums of the gradient of the output; the output again
 *              with recompute    param_task(): gradients, what backward needs     backward(span)
 *
 * With exec.eval prepare is not called; reduce still is. All tokens of a batch count: there is no
 * padding in the data.
 */
#ifndef CORE_GRAPH_OP_H
#define CORE_GRAPH_OP_H

#include "core/base/product.h"
#include "core/graph/graph.h"

struct exec;

typedef struct span {
    int b0, b1; /* sequences b0..b1-1 */
    int panel, worker;
} span;

typedef struct state_row {
    const char *name; /* as running_mean */
    int rank;
    size_t dims[2];
} state_row;

/* What is told of a node to those who draw or check it: a name and numbers that matter. */
enum { DESCRIPTION_NUMBERS = 4 };
typedef struct description {
    const char *what; /* norm, activation, positions or gain; or NULL */
    bool frozen;      /* a norm that divides by constants */
    int n_numbers;
    struct {
        const char *name; /* a literal */
        double value;
    } numbers[DESCRIPTION_NUMBERS];
} description;

/* Adds a number; one too many is dropped. */
static inline void describe_number(description *d, const char *name, double number)
{
    if (d->n_numbers == DESCRIPTION_NUMBERS) return;
    d->numbers[d->n_numbers].name = name;
    d->numbers[d->n_numbers++].value = number;
}

typedef struct op {
    entry entry;
    bool alias_grad; /* the gradient of every input is that of output 0: shared, not copied */
    bool can_add;    /* backward can add to a base (linear, norm, …); else it overwrites */
    bool remakes;   /* backward can write output 0 again (node.recompute), so it need not be kept */
    bool sums;      /* output 0 is a weighted sum of inputs 0 and 1 */
    bool by_chance; /* forward draws numbers at random, unless exec.eval */
    bool profiles_params;   /* profile sets the parameters (else only state) */
    unsigned reads_inputs;  /* bit i: backward reads input i */
    unsigned param_inputs;  /* bit i: param_task reads input i */
    unsigned reads_outputs; /* bit i: backward reads output i */
    void (*forward)(const struct exec *x, const node *n, const span *s);
    void (*backward)(const struct exec *x, const node *n, const span *s); /* NULL: nothing below */
    void (*prepare)(const struct exec *x,
                    const node *n,
                    const span *s); /* NULL: an op of spans alone */
    void (*reduce)(const struct exec *x, const node *n);
    void (*backward_prepare)(const struct exec *x, const node *n, const span *s);
    void (*state_start)(const graph *g, const node *n, double *state); /* NULL: zeros */
    /* The i-th part of the state, in order; false: there are no more. */
    bool (*state_row)(const graph *g, const node *n, int i, state_row *out);
    void (*profile)(const struct exec *x, const node *n);  /* node.profiled: once after forward in
                                                              exec_profile */
    int (*n_param_tasks)(const graph *g, const node *n);   /* NULL: no parameters */
    int (*n_slices)(const graph *g, const node *n, int i); /* of the gradient of parameter i */
    void (*param_task)(const struct exec *x, const node *n, int task);
    /* NULL: nothing but the op's name */
    void (*describe)(const graph *g, const node *n, description *out);
    /* Role of the matrix whose product begins at this column of output 0; NULL: not made so */
    const char *(*part)(const graph *g, const node *n, int column);
    size_t (*scratch)(const graph *g, const node *n); /* reals per worker; NULL: none */
    /* The matrix products of the forward pass of a whole batch; returns how many. NULL: none */
    int (*products)(const graph *g, const node *n, matrix_product out[NODE_PRODUCTS]);
} op;

#endif

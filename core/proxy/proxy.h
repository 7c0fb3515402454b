/* Training-free proxies: metrics of group "proxy", of the initial weights.
 *
 * Each needs a network that is not quite the run's. Before the session of the run is built, for
 * each family of proxies that is wanted a run_spec is derived, its session is laid out in the same
 * block of memory, passes are made, rows are handed out at step 0 (layer 1..L and -1, site run),
 * and the memory is given back. The run itself does not see any of this: its bits are the same with
 * and without proxies. Memory is the largest of all sessions. Gradients of the sum, Fisher and the
 * importance of head outputs keep every value and gradient of a pass, some three times what a
 * probed run needs; the others keep values at most.
 *
 *   sum       the run's weights and first batch, nothing masked; the loss is the sum of the
 *             vocabulary logits (the sum of the final hidden states, as published, is zero after a
 *             norm that centres)
 *   loss      the run's weights, first batch and loss
 *   synflow   |weights|, biases too, one token of ones (all tokens would be alike), no norms, no
 *             head, ReLU, gates open: a linear map, of which powers of two are taken out after
 *             each block. Placements with two streams, directions on a sphere or a narrower stream
 *             count as x' = x + A(x), y = x' + M(x')
 *   zen       all matrices N(0, 1), inputs N(0, I), ZEN_REPEATS times; no head
 *
 * All in the run's precision, without simulated formats. "The matrices" are those of the blocks (q,
 * k, v, o, up, gate, down): tables, head, gains and biases are no part of any proxy. A sum over
 * matrices grows with their number and size whatever the network is worth: "size-confounded" in
 * metric.def.
 */
#ifndef CORE_PROXY_PROXY_H
#define CORE_PROXY_PROXY_H

#include "core/run/session.h"

typedef enum proxy_family {
    PROXY_SUM,
    PROXY_LOSS,
    PROXY_SYNFLOW,
    PROXY_ZEN,
    PROXY_FAMILIES
} proxy_family;

enum { ZEN_REPEATS = 32, PROXY_MATRIX_MAX = 1024 };

struct proxy_covariance;
metric proxy_first(proxy_family f); /* of its metrics, which are neighbours in metric.def */
metric proxy_last(proxy_family f);
bool proxy_any(const run_spec *spec);                   /* is a family wanted? */
bool proxy_needs(const run_spec *spec, proxy_family f); /* is a metric of it wanted? */
uint64_t proxy_rows(const run_spec *spec);              /* upper bound */
double proxy_units(const run_spec *spec);               /* passes, forward and backward is 1 */
double proxy_family_units(const run_spec *spec, proxy_family f);

/* The network of a family. False: it has no form for this one. */
bool proxy_derive(const run_spec *spec, proxy_family f, run_spec *out);

/* Where a family's results are gathered, and its working memory. */
typedef struct proxy_work {
    double *layers; /* [PROXY_VECTORS, L + 2] */
    double *params; /* [PROXY_VECTORS, n_params] */
    real *weights;  /* as they start; GraSP */
    real *gradient;
    uint64_t *codes; /* NASWOT: [B, words] */
    double *agree;   /* [B, B] */
    size_t words;
    double *slab;    /* [n_threads, slab_count] */
    double *gram;    /* [n_threads, 2, n, n] */
    double *eigen;   /* [n_threads, 2, n] */
    char *scratch;   /* [n_threads, scratch_bytes] */
    char *gram_work; /* [n_threads, gram_work_bytes] */
    size_t slab_count, gram_n, scratch_bytes, gram_work_bytes;
    real *output;                         /* Zen: of the first pass */
    struct proxy_covariance *covariances; /* [L, 2] */
} proxy_work;

enum { PROXY_VECTORS = 6 };

/* What its plan keeps: no more than the metrics that are wanted ask for. */
plan_options proxy_keeps(const run_spec *spec, proxy_family f);

/* Beside its passes: correlations of features and singular values. */
double proxy_work_flops(const session *s, const run_spec *spec, proxy_family f);
size_t proxy_pass_bytes(void);
/* Of a session that is built. */
void proxy_layout(const session *s, proxy_family f, int n_threads, proxy_work *w, arena *a);

typedef struct proxy_job {
    const run_spec *spec;
    const run_input *input;
    void *memory;
    size_t memory_bytes;
    team *team;
    const sink *to;
    double total; /* units of the whole run, for progress */
} proxy_job;

/* All families that are wanted. ERR_MEMORY, ERR_CANCELLED, ERR_IO. */
err_code proxy_run(const proxy_job *job, error *err);

#endif

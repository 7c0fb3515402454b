/* A proxy's network under way: what the families share. */
#ifndef CORE_PROXY_PASS_H
#define CORE_PROXY_PASS_H

#include "core/metric/value.h"
#include "core/proxy/proxy.h"

enum { PROXY_ROWS = 256 };

typedef struct proxy_pass {
    const proxy_job *job;
    run_spec spec; /* derived */
    session s;
    proxy_work w;
    proxy_family family;
    double done, inside; /* units: complete, and of the pass under way */
    measurement rows[PROXY_ROWS];
    size_t n_rows;
} proxy_pass;

/* Rows. A layer of -1 is the whole; nothing is written of metrics that are not wanted. */
bool proxy_wants(const proxy_pass *p, metric m);
void proxy_write(proxy_pass *p, int layer, metric m, metric_value v);
void proxy_flush(proxy_pass *p);
/* A sum over matrices: m, then m + 1 the same per matrix and, with_log, m + 2 its log10; for each
 * block and for all. sums [L + 2] by layer, counts of matrices (or what it is per) likewise. */
void proxy_write_sum(
    proxy_pass *p, metric m, bool with_log, const double *sums, const double *counts);
/* The rows of a family that has no value for a reason. */
void proxy_write_undefined(proxy_pass *p, metric first, metric last, reason why);

/* Initial weights, state and profile, as the sink leaves them; then the batch of step 0. */
err_code proxy_begin(proxy_pass *p, error *err);
err_code proxy_forward(proxy_pass *p, error *err);
err_code proxy_backward(proxy_pass *p, error *err);

/* Matrices of the blocks, and which. */
typedef enum proxy_set { PROXY_ALL, PROXY_MIXERS, PROXY_MLPS } proxy_set;
bool proxy_is_matrix(const param *p, proxy_set set);
/* w.params[vector] = f over the parameters; then summed by layer to w.layers[vector]. */
typedef double proxy_of_param(const proxy_pass *p, int index);
void proxy_each_matrix(proxy_pass *p, int vector, proxy_set set, proxy_of_param *f);
void proxy_count(proxy_pass *p, int vector, proxy_set set); /* matrices by layer */
double *proxy_layers(const proxy_pass *p, int vector);
double proxy_saliency(const proxy_pass *p, int index); /* sum |w dw| */

/* The families. */
err_code proxy_sum(proxy_pass *p, error *err);
err_code proxy_loss(proxy_pass *p, error *err);
err_code proxy_synflow(proxy_pass *p, error *err);
err_code proxy_zen(proxy_pass *p, error *err);
/* Parts of proxy_sum: after the forward pass, and after the backward pass. */
void proxy_sum_hidden(proxy_pass *p);                         /* hidden covariance */
const tap *proxy_tap(const proxy_pass *p, int layer, site s); /* or NULL */
void proxy_sum_inputs(proxy_pass *p, bool flat);              /* jacob_cov, Jacobian cosine */
void proxy_sum_codes(proxy_pass *p);                          /* NASWOT, activation distance */
void proxy_sum_matrices(proxy_pass *p); /* saliency, diversity, head importance */
void proxy_sum_heads(proxy_pass *p);    /* head and softmax confidence */

#endif

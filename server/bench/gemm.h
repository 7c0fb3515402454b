/* The matrix products of one forward and backward pass, as the ops of the graph list them, and how
 * fast the matrix library computes each of them on its own: the bound that a pass is compared with.
 *
 * Products as a framework makes them: q, k, v in one, gate and up in one; attention per sequence
 * and head on full T x T matrices, also where half of it is masked, so a causal pass may do less.
 * The backward pass has two per forward product. Row-major C [m,n] = op(A) op(B) over k.
 */
#ifndef SERVER_BENCH_GEMM_H
#define SERVER_BENCH_GEMM_H

#include "core/engine.h"
#include "server/bench/times.h"

enum { BENCH_PASSES = 3, BENCH_PRODUCTS = 16 * BENCH_PASSES };

typedef struct bench_product {
    const char *layer; /* "qkv", "wo", "w1", "w2", "head", "qk", "pv" */
    const char *pass;  /* "fwd", "dx", "dw"; attention: "fwd", "dq", "dk", "dp", "dv" */
    double count;      /* times in one forward and backward pass */
    int m, n, k;
    const char *op;    /* "NT", "NN", "TN": which of A and B are transposed */
    bench_times times; /* of one of them; one median per round */
} bench_product;

typedef struct bench_gemm {
    bench_product products[BENCH_PRODUCTS]; /* a forward one, then its two of the backward pass */
    int n;
    bool too_many; /* more than there is room for */
    bool is_double;
    bench_times bound; /* sum of count x time, per round */
    void *operands;
    size_t bytes, stride; /* bytes of each of A, B, C */
} bench_gemm;

err_code bench_gemm_init(bench_gemm *g, const run_spec *spec, error *err);
void bench_gemm_round(bench_gemm *g); /* measures each product; BLAS has one thread */
void bench_gemm_deinit(bench_gemm *g);

double bench_product_flops(const bench_product *p); /* of one; a multiply-add is 2 */
double bench_gemm_flops(const bench_gemm *g);       /* of the whole pass */

#endif

#include "server/bench/gemm.h"

#include "server/machine/block.h"

#include <cblas.h>
#include <string.h>

enum { SAMPLES = 5 };
static const double sample_flops = 1e8; /* short products are repeated to this much work */

double bench_product_flops(const bench_product *p)
{
    return 2.0 * p->m * p->n * p->k;
}

double bench_gemm_flops(const bench_gemm *g)
{
    double sum = 0;
    for (int i = 0; i < g->n; i++)
        sum += g->products[i].count * bench_product_flops(&g->products[i]);
    return sum;
}

/* The same product of another block is one more of it. */
static void
add(bench_gemm *g, const matrix_product *p, const char *pass, const int mnk[3], const char *op)
{
    for (int i = 0; i < g->n; i++) {
        bench_product *b = &g->products[i];
        if (strcmp(b->layer, p->name) != 0 || strcmp(b->pass, pass) != 0) continue;
        if (b->m != mnk[0] || b->n != mnk[1] || b->k != mnk[2]) continue;
        b->count += p->count;
        return;
    }
    if (g->n == BENCH_PRODUCTS) {
        g->too_many = true;
        return;
    }
    g->products[g->n++] = (bench_product){.layer = p->name,
                                          .pass = pass,
                                          .count = p->count,
                                          .m = mnk[0],
                                          .n = mnk[1],
                                          .k = mnk[2],
                                          .op = op};
}

/* C = A op(B); dA = dC op'(B), and of B: dC' A where it is turned, else A' dC. */
static bool add_node(void *user, const outline_node *node)
{
    bench_gemm *g = user;
    for (int i = 0; i < node->n_products; i++) {
        const matrix_product *p = &node->products[i];
        const int m = p->m, n = p->n, k = p->k;
        add(g, p, "fwd", (int[]){m, n, k}, p->turned ? "NT" : "NN");
        add(g, p, p->grads[0], (int[]){m, k, n}, p->turned ? "NN" : "NT");
        add(g, p, p->grads[1], p->turned ? (int[]){n, k, m} : (int[]){k, n, m}, "TN");
    }
    return true;
}

static size_t larger(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t largest_operand(const bench_gemm *g)
{
    size_t most = 0;
    for (int i = 0; i < g->n; i++) {
        size_t m = (size_t)g->products[i].m, n = (size_t)g->products[i].n,
               k = (size_t)g->products[i].k;
        most = larger(most, larger(m * n, larger(m * k, n * k)));
    }
    return most;
}

/* Values without structure, none of them zero or subnormal. */
static void fill(bench_gemm *g)
{
    size_t n = g->bytes / (g->is_double ? sizeof(double) : sizeof(float));
    for (size_t i = 0; i < n; i++) {
        double value = (double)(i * 37 % 101 + 1) / 101;
        if (g->is_double)
            ((double *)g->operands)[i] = value;
        else
            ((float *)g->operands)[i] = (float)value;
    }
}

err_code bench_gemm_init(bench_gemm *g, const run_spec *spec, error *err)
{
    *g = (bench_gemm){.is_double = spec->precision == PRECISION_FLOAT64};
    err_code code = engine_for(spec->precision)->outline(spec, add_node, g, err);
    if (code) return code;
    if (g->too_many)
        return error_set(err, ERR_INTERNAL, "", "a pass has more than %d kinds of products",
                         (int)BENCH_PRODUCTS);
    g->stride =
        (largest_operand(g) * (g->is_double ? sizeof(double) : sizeof(float)) + 63) / 64 * 64;
    g->bytes = 3 * g->stride;
    g->operands = block_map(g->bytes, false);
    if (!g->operands)
        return error_set(err, ERR_MEMORY, "", "the system has no %zu bytes for the matrix products",
                         g->bytes);
    fill(g);
    return ERR_OK;
}

void bench_gemm_deinit(bench_gemm *g)
{
    block_unmap(g->operands, g->bytes);
    g->operands = NULL;
}

static void multiply(const bench_gemm *g, const bench_product *p)
{
    bool a_turned = p->op[0] == 'T', b_turned = p->op[1] == 'T';
    enum CBLAS_TRANSPOSE ta = a_turned ? CblasTrans : CblasNoTrans,
                         tb = b_turned ? CblasTrans : CblasNoTrans;
    int lda = a_turned ? p->m : p->k, ldb = b_turned ? p->k : p->n;
    char *a = g->operands, *b = a + g->stride, *c = b + g->stride;
    if (g->is_double)
        cblas_dgemm(CblasRowMajor, ta, tb, p->m, p->n, p->k, 1, (double *)(void *)a, lda,
                    (double *)(void *)b, ldb, 0, (double *)(void *)c, p->n);
    else
        cblas_sgemm(CblasRowMajor, ta, tb, p->m, p->n, p->k, 1, (float *)(void *)a, lda,
                    (float *)(void *)b, ldb, 0, (float *)(void *)c, p->n);
}

static bench_time measure(const bench_gemm *g, const bench_product *p)
{
    int inner = 1 + (int)(sample_flops / bench_product_flops(p));
    bench_times samples = {0};
    for (int i = 0; i < SAMPLES; i++) {
        bench_time start = bench_now();
        for (int j = 0; j < inner; j++) multiply(g, p);
        bench_add(&samples, bench_since(&start));
    }
    bench_time median;
    for (int i = 0; i < BENCH_CLOCKS; i++)
        median.ms[i] = bench_median(&samples, (bench_clock)i) / inner;
    return median;
}

void bench_gemm_round(bench_gemm *g)
{
    bench_time bound = {{0}};
    for (int i = 0; i < g->n; i++) {
        bench_product *p = &g->products[i];
        bench_time t = measure(g, p);
        bench_add(&p->times, t);
        for (int c = 0; c < BENCH_CLOCKS; c++) bound.ms[c] += p->count * t.ms[c];
    }
    bench_add(&g->bound, bound);
}

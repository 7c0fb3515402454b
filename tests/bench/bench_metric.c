/* Timings of the metric kernels on one core, one JSON object per line: what costs how much of a
 * probe, and the eigenvalues beside LAPACK's. Best of several repetitions; nothing is asserted.
 *
 *   bench_metric [T] [D]      default 128 256: one sequence of spec A
 */
#include "core/metric/geometry.h"
#include "core/metric/gram.h"
#include "core/metric/moments.h"
#include "core/metric/spectrum.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

extern void openblas_set_num_threads(int n);
extern void dsyevd_(const char *job,
                    const char *triangle,
                    const int *n,
                    double *a,
                    const int *lda,
                    double *w,
                    double *work,
                    const int *work_size,
                    int *iwork,
                    const int *iwork_size,
                    int *info);

enum { REPETITIONS = 15 };

typedef struct bench {
    size_t T, D;
    real *x;
    void *memory, *work, *scratch;
    double *gram[SPECTRUM_LANES], *eig[SPECTRUM_LANES], *copy, *token_sq;
    slab s;
} bench;

static double now(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + 1e-9 * (double)t.tv_nsec;
}

static double best_of(void (*work)(bench *), bench *b)
{
    double best = 1e9;
    for (int i = 0; i < REPETITIONS; i++) {
        const double start = now();
        work(b);
        const double took = now() - start;
        if (took < best) best = took;
    }
    return best;
}

static void sums(bench *b)
{
    slab_sums(&b->s, b->x, b->T, b->D, b->D, false, b->memory);
}

static void centre(bench *b)
{
    slab_centre(&b->s);
}

static void finish(bench *b)
{
    moments m;
    geometry g;
    moments_reset(&m);
    geometry_reset(&g);
    moments_add(&m, &b->s, b->token_sq);
    geometry_add(&g, &b->s);
}

static void causal(bench *b)
{
    slab_sums(&b->s, b->x, b->T, b->T, b->D, true, b->memory);
    slab_centre(&b->s);
}

static void gram(bench *b)
{
    gram_of(b->gram[0], b->x, b->T, b->D, b->D, NULL, b->work);
}

static void turned(bench *b)
{
    gram_turned(b->copy, &b->s, b->work);
}

static void pairs(bench *b)
{
    spectrum_pairs((const double *const *)b->gram, NULL, SPECTRUM_PAIRS, (int)gram_n(b->T, b->D),
                   b->eig, b->eig + SPECTRUM_PAIRS, b->scratch);
}

static void lanes(bench *b)
{
    spectrum_lanes((const double *const *)b->gram, SPECTRUM_LANES, (int)gram_n(b->T, b->D), b->eig,
                   b->scratch);
}

static void half_lanes(bench *b)
{
    spectrum_lanes((const double *const *)b->gram, SPECTRUM_LANES / 2, (int)gram_n(b->T, b->D),
                   b->eig, b->scratch);
}

static void lapack(bench *b)
{
    const int n = (int)gram_n(b->T, b->D), work_size = -1;
    int iwork, info, size;
    double best, *work;
    dsyevd_("N", "U", &n, b->copy, &n, b->eig[0], &best, &work_size, &iwork, &work_size, &info);
    size = (int)best;
    work = malloc((size_t)size * sizeof *work);
    if (!work) return;
    for (int k = 0; k < SPECTRUM_LANES; k++) {
        const int one = 1;
        memcpy(b->copy, b->gram[k], gram_bytes(b->T, b->D));
        dsyevd_("N", "U", &n, b->copy, &n, b->eig[k], work, &size, &iwork, &one, &info);
    }
    free(work);
}

static void *block(size_t bytes)
{
    void *p = aligned_alloc(64, (bytes + 63) / 64 * 64);
    if (!p) exit(1);
    memset(p, 0, bytes);
    return p;
}

static void make(bench *b)
{
    const size_t n = gram_n(b->T, b->D), side = b->T > b->D ? b->T : b->D;
    b->x = block(side * b->D * sizeof *b->x);
    b->memory = block(slab_bytes(side, side));
    b->work = block(gram_work_bytes(b->T, b->D));
    b->scratch = block(spectrum_scratch_bytes((int)n));
    b->copy = block(gram_bytes(b->T, b->D));
    b->token_sq = block(side * sizeof *b->token_sq);
    for (int k = 0; k < SPECTRUM_LANES; k++) {
        b->gram[k] = block(gram_bytes(b->T, b->D));
        b->eig[k] = block(n * sizeof(double));
        for (size_t i = 0; i < b->T * b->D; i++) {
            double sum = 0;
            for (int q = 0; q < 12; q++) sum += drand48();
            b->x[i] = (real)(sum - 6);
        }
        gram_of(b->gram[k], b->x, b->T, b->D, b->D, NULL, b->work);
    }
}

int main(int argc, char **argv)
{
    bench b = {.T = argc > 1 ? strtoul(argv[1], NULL, 10) : 128,
               .D = argc > 2 ? strtoul(argv[2], NULL, 10) : 256};
    openblas_set_num_threads(1);
    make(&b);
    const double per_entry = 1e9 / (double)(b.T * b.D), ms = 1e3;
    const double first = best_of(sums, &b), second = best_of(centre, &b);
    printf("{\"T\": %zu, \"D\": %zu, \"bits\": %d, ", b.T, b.D, REAL_BITS);
    printf("\"slab_sums_ns\": %.3f, \"slab_centre_ns\": %.3f, ", first * per_entry,
           second * per_entry);
    printf("\"moments_geometry_ns\": %.3f, ", best_of(finish, &b) * per_entry);
    if (b.T <= b.D)
        printf("\"causal_ns\": %.3f, ", best_of(causal, &b) * 2e9 / (double)(b.T * b.T + b.T));
    printf("\"gram_ms\": %.4f, ", best_of(gram, &b) * ms);
    slab_sums(&b.s, b.x, b.T, b.D, b.D, false, b.memory);
    slab_centre(&b.s);
    printf("\"gram_turned_ms\": %.4f, ", best_of(turned, &b) * ms);
    printf("\"spectrum_pairs_8_ms\": %.3f, ", best_of(pairs, &b) * ms);
    printf("\"spectrum_8_ms\": %.3f, ", best_of(half_lanes, &b) * ms);
    printf("\"spectrum_16_ms\": %.3f, \"lapack_16_ms\": %.3f}\n", best_of(lanes, &b) * ms,
           best_of(lapack, &b) * ms);
    return 0;
}

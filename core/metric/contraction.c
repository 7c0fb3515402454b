#include "core/metric/contraction.h"

#include "core/metric/gram.h"
#include "core/metric/spectrum.h"

#include <cblas.h>
#include <float.h>
#include <math.h>
#include <string.h>

enum { ALIGN = 64 };

/* What one call works in. */
typedef struct room {
    double *gram[SPECTRUM_PAIRS], *first[SPECTRUM_PAIRS], *second[SPECTRUM_PAIRS];
    double *wide; /* [T, T], or what a Gram matrix is made in */
    double *mean; /* [T] */
    char *scratch;
} room;

static size_t rounded(size_t bytes)
{
    return (bytes + ALIGN - 1) / ALIGN * ALIGN;
}

static size_t wide_bytes(size_t T)
{
    const size_t matrix = gram_bytes(T, T), work = gram_work_bytes(T, T);
    return matrix > work ? matrix : work;
}

size_t contraction_work_bytes(size_t T)
{
    return SPECTRUM_PAIRS * gram_bytes(T, T) + wide_bytes(T) +
           (2 * SPECTRUM_PAIRS + 1) * rounded(T * sizeof(double)) + spectrum_scratch_bytes((int)T);
}

static void carve(room *r, void *work, size_t T)
{
    char *at = work;
    for (int k = 0; k < SPECTRUM_PAIRS; k++, at += gram_bytes(T, T)) r->gram[k] = (void *)at;
    r->wide = (void *)at;
    at += wide_bytes(T);
    for (int k = 0; k < SPECTRUM_PAIRS; k++, at += rounded(T * sizeof(double)))
        r->first[k] = (void *)at;
    for (int k = 0; k < SPECTRUM_PAIRS; k++, at += rounded(T * sizeof(double)))
        r->second[k] = (void *)at;
    r->mean = (void *)at;
    r->scratch = at + rounded(T * sizeof(double));
}

/* Subtracts from every row the mean of the rows. */
static void centre_columns(double *a, double *mean, size_t T)
{
    memset(mean, 0, T * sizeof *mean);
    for (size_t i = 0; i < T; i++)
        for (size_t j = 0; j < T; j++) mean[j] += a[i * T + j];
    for (size_t j = 0; j < T; j++) mean[j] /= (double)T;
    for (size_t i = 0; i < T; i++)
        for (size_t j = 0; j < T; j++) a[i * T + j] -= mean[j];
}

static void centre_rows(double *a, size_t T)
{
    for (size_t i = 0; i < T; i++) {
        double sum = 0;
        for (size_t j = 0; j < T; j++) sum += a[i * T + j];
        for (size_t j = 0; j < T; j++) a[i * T + j] -= sum / (double)T;
    }
}

/* path <- C (mean of A over heads) path, or C A C where it begins. */
static void extend(double *path, const real *A, size_t heads, size_t T, bool first, room *r)
{
    double *const mean = r->wide, *const next = r->gram[0];
    const int n = (int)T;
    for (size_t k = 0; k < T * T; k++) {
        double sum = 0;
        for (size_t h = 0; h < heads; h++) sum += (double)A[h * T * T + k];
        mean[k] = sum / (double)heads;
    }
    centre_columns(mean, r->mean, T);
    if (first) {
        centre_rows(mean, T);
        memcpy(path, mean, T * T * sizeof *path);
        return;
    }
    cblas_dgemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, n, n, n, 1.0, mean, n, path, n, 0.0,
                next, n);
    memcpy(path, next, T * T * sizeof *path);
}

static void head_gram(double *K, const real *A, size_t T, room *r)
{
    memset(r->mean, 0, T * sizeof *r->mean);
    for (size_t i = 0; i < T; i++)
        for (size_t j = 0; j < T; j++) r->mean[j] += (double)A[i * T + j];
    for (size_t j = 0; j < T; j++) r->mean[j] /= (double)T;
    const slab s = {.x = A, .rows = T, .cols = T, .ld = T, .col_mean = r->mean};
    gram_turned(K, &s, r->wide);
}

static void path_gram(double *K, const double *path, size_t T)
{
    cblas_dsyrk(CblasRowMajor, CblasLower, CblasNoTrans, (int)T, (int)T, 1.0, path, (int)T, 0.0, K,
                (int)T);
}

static double root(double square)
{
    return square < 0 ? 0 : sqrt(square);
}

/* Squares of the singular values of A and of C A. */
static void add_head(contraction *c, const double *whole, const double *centred, size_t T)
{
    double all[RANKS_COUNT], sum = 0;
    if (ranks_of(whole, (int)T, T, T, DBL_EPSILON, all) == REASON_NONE)
        for (int k = 0; k < CONTRACTION_RANKS; k++) c->ranks[k] += all[k];
    c->matrices++;
    if (T < 2) return;
    for (size_t i = 0; i < T; i++) sum += centred[i];
    c->largest += root(centred[T - 1]);
    c->average += root(sum / (double)(T - 1));
}

void contraction_add(
    contraction *c, const real *A, size_t heads, size_t T, double *path, bool first, void *work)
{
    room r;
    const size_t matrices = heads + (path != NULL);
    carve(&r, work, T);
    *c = (contraction){.sequences = 1, .tokens = T};
    if (path) extend(path, A, heads, T, first, &r);
    for (size_t from = 0; from < matrices; from += SPECTRUM_PAIRS) {
        const size_t left = matrices - from, n = left < SPECTRUM_PAIRS ? left : SPECTRUM_PAIRS;
        for (size_t k = 0; k < n; k++) {
            if (from + k < heads)
                head_gram(r.gram[k], A + (from + k) * T * T, T, &r);
            else
                path_gram(r.gram[k], path, T);
        }
        spectrum_pairs((const double *const *)r.gram, NULL, (int)n, (int)T, r.first, r.second,
                       r.scratch);
        for (size_t k = 0; k < n; k++) {
            if (from + k < heads)
                add_head(c, r.first[k], r.second[k], T);
            else
                c->path = root(r.first[k][T - 1]);
        }
    }
}

void contraction_merge(contraction *into, const contraction *from)
{
    into->matrices += from->matrices;
    into->sequences += from->sequences;
    if (from->tokens > into->tokens) into->tokens = from->tokens;
    for (int k = 0; k < CONTRACTION_RANKS; k++) into->ranks[k] += from->ranks[k];
    into->largest += from->largest;
    into->average += from->average;
    into->path += from->path;
}

void contraction_finish(const contraction *c, metric_value out[])
{
    const double n = (double)c->matrices;
    const metric_value one = value_undefined(REASON_ONE_TOKEN);
    out[METRIC_attn_stable_rank] = value_of(c->ranks[0] / n);
    out[METRIC_attn_participation_rank] = value_of(c->ranks[1] / n);
    out[METRIC_attn_effective_rank] = value_of(c->ranks[2] / n);
    out[METRIC_attn_contraction] = c->tokens < 2 ? one : value_of(c->largest / n);
    out[METRIC_attn_contraction_mean] = c->tokens < 2 ? one : value_of(c->average / n);
    out[METRIC_attn_path_contraction] =
        c->tokens < 2 ? one : value_of(c->path / (double)c->sequences);
}

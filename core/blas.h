/* GEMM of this build's precision. OpenBLAS is called single-threaded; parallelism is the team's.
 *
 * All matrices row-major with leading dimensions. C = alpha op(A) op(B) + beta C.
 */
#ifndef CORE_BLAS_H
#define CORE_BLAS_H

#include "core/real.h"

#include <cblas.h>

#if REAL_BITS == 64
#define cblas_gemm cblas_dgemm
#else
#define cblas_gemm cblas_sgemm
#endif

/* C [m,n] = alpha A [m,k] B[n,k]' + beta C */
static inline void gemm_nt(size_t m,
                           size_t n,
                           size_t k,
                           real alpha,
                           const real *a,
                           size_t lda,
                           const real *b,
                           size_t ldb,
                           real beta,
                           real *c,
                           size_t ldc)
{
    cblas_gemm(CblasRowMajor, CblasNoTrans, CblasTrans, (int)m, (int)n, (int)k, alpha, a, (int)lda,
               b, (int)ldb, beta, c, (int)ldc);
}

/* C [m,n] = alpha A [m,k] B [k,n] + beta C */
static inline void gemm_nn(size_t m,
                           size_t n,
                           size_t k,
                           real alpha,
                           const real *a,
                           size_t lda,
                           const real *b,
                           size_t ldb,
                           real beta,
                           real *c,
                           size_t ldc)
{
    cblas_gemm(CblasRowMajor, CblasNoTrans, CblasNoTrans, (int)m, (int)n, (int)k, alpha, a,
               (int)lda, b, (int)ldb, beta, c, (int)ldc);
}

/* C [m,n] = alpha A[k,m]' B [k,n] + beta C */
static inline void gemm_tn(size_t m,
                           size_t n,
                           size_t k,
                           real alpha,
                           const real *a,
                           size_t lda,
                           const real *b,
                           size_t ldb,
                           real beta,
                           real *c,
                           size_t ldc)
{
    cblas_gemm(CblasRowMajor, CblasTrans, CblasNoTrans, (int)m, (int)n, (int)k, alpha, a, (int)lda,
               b, (int)ldb, beta, c, (int)ldc);
}

#endif

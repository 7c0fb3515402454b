/* GEMM of this build's precision. OpenBLAS is called single-threaded; parallelism is the team's.
 *
 * All matrices row-major with leading dimensions. C = alpha op(A) op(B) + beta C.
 */
#ifndef CORE_MATH_BLAS_H
#define CORE_MATH_BLAS_H

#include "core/real.h"

#include <cblas.h>

#if REAL_BITS == 64
#define cblas_gemm cblas_dgemm
#else
#define cblas_gemm cblas_sgemm
#endif

/* clang-format off */
#define GEMM(name, op_a, op_b)                                                                     \
    static inline void name(size_t m, size_t n, size_t k, real alpha, const real *a, size_t lda,   \
                            const real *b, size_t ldb, real beta, real *c, size_t ldc)             \
    {                                                                                              \
        cblas_gemm(CblasRowMajor, op_a, op_b, (int)m, (int)n, (int)k, alpha, a, (int)lda,          \
                   b, (int)ldb, beta, c, (int)ldc);                                                \
    }
/* clang-format on */

GEMM(gemm_nt, CblasNoTrans, CblasTrans)   /* C [m,n] = alpha A [m,k] B[n,k]' + beta C */
GEMM(gemm_nn, CblasNoTrans, CblasNoTrans) /* C [m,n] = alpha A [m,k] B [k,n] + beta C */
GEMM(gemm_tn, CblasTrans, CblasNoTrans)   /* C [m,n] = alpha A[k,m]' B [k,n] + beta C */
#undef GEMM

#endif

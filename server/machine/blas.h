/* Which kernel of OpenBLAS computes, and whether the processor could do better.
 *
 * OpenBLAS chooses when the library is loaded; OPENBLAS_CORETYPE in the environment overrides the
 * choice, and an override meant for portability halves the speed on a newer machine. Nothing can be
 * changed afterwards, so the only remedy is to execute the program again without it.
 */
#ifndef SERVER_MACHINE_BLAS_H
#define SERVER_MACHINE_BLAS_H

#include <stdbool.h>

/* BLAS uses the thread that calls it and no other: parallelism is ours. Once, before any product.
 */
void blas_single_thread(void);

const char *blas_kernel(void);  /* "SkylakeX", "Haswell", … */
const char *blas_library(void); /* "OpenBLAS 0.3.21 …" */

/* The kernel uses narrower vectors than the processor has. */
bool blas_is_weaker(void);

/* The same, and the environment is why: executing again would help. */
bool blas_is_forced(void);

/* When blas_is_forced: replaces this process by the same program, arguments and environment without
 * OPENBLAS_CORETYPE. Returns only when there is nothing to gain, it has been done before, or it
 * failed. Before any thread is started. */
void blas_execute_best(char **argv);

/* Widest vectors: "avx512", "avx2", "avx", "sse2"; "other" where it is not x86-64. */
const char *blas_cpu_vectors(void);

#endif

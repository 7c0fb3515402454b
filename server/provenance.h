/* Where a result comes from: the program, the BLAS kernel and the processor that computed it. */
#ifndef SERVER_PROVENANCE_H
#define SERVER_PROVENANCE_H

/* JSON object {"build","blas","blas_kernel","processor","threads"}. Heap; NULL when out of memory. */
char *provenance_text(int threads);

const char *provenance_build(void); /* of git; "unknown" outside of it */

#endif

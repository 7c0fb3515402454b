/* Where a result comes from, as JSON: {"version":"0.1.0","build":"64c1e6f","blas":"OpenBLAS 0.3.21
 * …", "blas_kernel":"SkylakeX","cpu":"…","cpu_vectors":"avx512","threads":2}. Stored with every
 * run.
 */
#ifndef SERVER_MACHINE_PROVENANCE_H
#define SERVER_MACHINE_PROVENANCE_H

/* threads: of the engine. Heap; NULL when out of memory. */
char *provenance_json(int threads);

#endif

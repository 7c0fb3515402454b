/* A matrix product of a forward pass: C [m, n] = A [m, k] op(B), so many times. The backward pass has two
 * more, of A from C and B, and of B from C and A. Texts are literals. */
#ifndef CORE_BASE_PRODUCT_H
#define CORE_BASE_PRODUCT_H

#include <stdbool.h>

enum { NODE_PRODUCTS = 2 }; /* the most that one op makes */
typedef struct matrix_product {
    const char *name;     /* as benches call it: qkv, wo, w1, w2, head, qk, pv */
    const char *grads[2]; /* those two: dx, dw; dq, dk; dp, dv */
    double count;
    int m, n, k;
    bool turned; /* B is [n, k]; else [k, n] */
} matrix_product;

#endif

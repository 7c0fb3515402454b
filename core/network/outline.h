/* The graph of a run as plain data, node by node in the order of the forward pass: what drawings of
 * a strategy are made of. Made from the graph that would be run, so that a drawing cannot say
 * anything else than the computation does.
 */
#ifndef CORE_NETWORK_OUTLINE_H
#define CORE_NETWORK_OUTLINE_H

#include "core/base/catalog.h"
#include "core/base/error.h"
#include "core/base/product.h"

#include <stddef.h>

enum { OUTLINE_INPUTS = 4, OUTLINE_PARAMS = 8, OUTLINE_SITES = 8, OUTLINE_NUMBERS = 4 };

typedef struct outline_input {
    int node; /* number of the node that made it, counted from 0 */
    const char
        *part; /* role of the matrix whose product it is, where a node makes several; or NULL */
} outline_input;

typedef struct outline_param {
    const char *role; /* as in "attn.q.weight" */
    int rank;
    size_t dims[2];
    double start; /* of rank 1: what every entry starts at */
} outline_param;

typedef struct outline_number {
    const char *name;
    double value;
} outline_number;

/* Texts are borrowed from the program. */
typedef struct outline_node {
    int layer;         /* 0 before the blocks, 1..L, L+1 after them */
    const char *op;    /* row of the registry ops */
    const char *what;  /* norm, activation, positions or gain; or NULL */
    const char *place; /* of a norm: where it stands, "attn.norm_in"; or NULL */
    int n_products;
    matrix_product products[NODE_PRODUCTS]; /* of its forward pass over a batch */
    bool constants; /* numbers that are not learned take part: a bias on logits, factors of rows */
    bool frozen;    /* a norm that divides by constants */
    int cols;       /* features of what it makes */
    int n_inputs, n_params, n_numbers, n_sites;
    outline_input inputs[OUTLINE_INPUTS];
    outline_param params[OUTLINE_PARAMS];
    outline_number numbers[OUTLINE_NUMBERS];
    site sites[OUTLINE_SITES]; /* names of what it makes */
} outline_node;

/* A false return of visit ends the walk without an error. */
typedef bool outline_visit(void *user, const outline_node *n);

#endif

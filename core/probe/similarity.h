/* The part of the probe that compares the stream of different layers: of each it keeps the last
 * token of every sequence and, in turn or for good, the centred Gram matrices that CKA is made of.
 *
 * Every layer is compared with the one before it. For cka_last and cka_map at most
 * SIMILARITY_LAYERS layers are chosen, evenly from 0 to L, both included.
 */
#ifndef CORE_PROBE_SIMILARITY_H
#define CORE_PROBE_SIMILARITY_H

#include "core/graph/exec.h"
#include "core/metric/similarity.h"
#include "core/metric/value.h"
#include "core/op/op.h"

enum { SIMILARITY_LAYERS = 64 };

typedef struct probe_similarity {
    const graph *g;
    bool angles, grams, map; /* wanted: map also for cka_last */
    int depth, n_chosen;
    size_t n, cols, pairs; /* tokens, features, entries of a matrix */
    real *tokens;          /* [L + 1, B, D] */
    double *matrices;      /* [chosen and 2 more, B, pairs] */
    double *own, *before;  /* [L + 1, B] products of a layer with itself and the one before */
    double *with;          /* [chosen, chosen, B] products, the later layer first */
    double *work;          /* of each worker */
    size_t work_numbers;
} probe_similarity;

void probe_similarity_init(probe_similarity *p, const graph *g);
void probe_similarity_layout(probe_similarity *p, int n_threads, arena *a);
/* The value of a tap has been made: sequence b. */
void probe_similarity_add(probe_similarity *p, const exec *x, const tap *t, int b, int worker);
/* Does the layer of this tap have the metric? */
bool probe_similarity_has(const probe_similarity *p, const tap *t, int m);
void probe_similarity_finish(const probe_similarity *p, const tap *t, metric_value out[]);

int probe_similarity_layer(const probe_similarity *p, int i); /* the i-th that is chosen */
metric_value probe_similarity_pair(const probe_similarity *p, int i, int j); /* of chosen, i > j */
const char *probe_similarity_name(int layer); /* "layer.12"; lives as long as the program */

#endif

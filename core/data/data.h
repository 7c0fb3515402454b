/* Data sources: one file each under core/data/, one row in data.def.
 *
 * All batches of a run are made before the first pass, from streams keyed by the run's seed, so
 * arms with equal seeds see equal data whatever their strategy.
 */
#ifndef CORE_DATA_DATA_H
#define CORE_DATA_DATA_H

#include "core/real.h"
#include "core/result.h"

typedef struct data_source {
    entry entry;
    bool needs_corpus;
    bool gives_inputs; /* x_0 is given; no embedding */
    /* tokens [batches, B, T+1], each in 0..vocab-1 */
    void (*tokens)(const run_spec *spec, const run_input *input, int32_t *tokens);
    void (*inputs)(const run_spec *spec, real *inputs); /* [batches, B, T, D] */
} data_source;

#define DATA(name) extern const data_source data_##name;
#include "core/data/data.def"
#undef DATA

extern const data_source *const data_table[];
extern const registry data_registry;

/* Everything of the batches; arrays that a run does not need are NULL. */
typedef struct batches {
    int32_t *tokens;    /* [batches, B, T+1] */
    uint8_t *loss_mask; /* [batches, B, T]; bidirectional cross entropy only */
    real *inputs;       /* [batches, B, T, D]; gaussian only */
    real *grad_seed;    /* [B, T, D]; synthetic losses only */
} batches;

/* Carves the arrays from a (counting or real). */
struct arena;
void batches_layout(batches *d, const run_spec *spec, struct arena *a);
void batches_fill(batches *d, const run_spec *spec, const run_input *input);

#endif

/* What comes out of a run, and what one costs: plain data that the engine fills and whoever asked for
 * the run reads. Nothing here computes.
 */
#ifndef CORE_RESULT_H
#define CORE_RESULT_H

#include "core/spec.h"

#include <stddef.h>

/* Of measuring one group of metrics; core/run/metric_cost.h says how it is reckoned. */
typedef struct metric_cost {
    const char *group; /* a literal */
    bool wanted;       /* some metric of it is */
    double flops;      /* arithmetic of its own */
    double passes;     /* forward and backward, of its own */
    double factor;
} metric_cost;

/* What a run costs, computed before it is accepted. Exact for parameters and peak_bytes. */
typedef struct estimate {
    uint64_t parameters;
    double flops;          /* matrix products of the whole run, one multiply-add = 2 */
    double traffic_bytes;  /* read and written by what is no matrix product, per pass of the run */
    uint64_t peak_bytes;   /* the one block of memory that run needs */
    uint64_t measurements; /* an upper bound on rows emitted */
    double measured_flops; /* matrix products of the passes that are measured */
    metric_cost metrics[GROUP_COUNT]; /* of measuring them, all of the run */
} estimate;

/* One measured number. layer 0 is the embedding, 1..L the blocks, L+1 the final norm and the
 * logits; -1 for the run as a whole. param is the name of the parameter without its block prefix
 * ("attn.q.weight") at SITE_param, else NULL; borrowed, lives as long as the program. */
typedef struct measurement {
    int step, layer;
    site site;
    metric metric;
    const char *param;
    double value;
    reason reason; /* REASON_NONE exactly when value is finite */
    int item;      /* from 1: which of the items of a metric that has several here; 0: it is one */
    item_kind item_kind; /* ITEM_NONE exactly when item is 0 */
} measurement;

typedef struct step_record {
    int step;         /* updates made before this loss was computed */
    double loss;      /* NaN and Inf are results */
    double lr;        /* of the update that follows; 0 after the last */
    double grad_norm; /* global, before clipping; NaN when no backward pass was needed */
} step_record;

typedef struct progress {
    int step, steps;   /* training position */
    int layer, layers; /* position inside the pass, for deep models */
    double fraction;   /* of the whole run, 0 to 1, by arithmetic cost */
} progress;

/* A tensor of the run, by name: a parameter ("blocks.0.attn.q.weight"; block i of the name is layer
 * i+1 of the results), "data.tokens" ([batches, B, T+1], or with bidirectional mask the same, where
 * the loss is taken at "data.loss_mask" [batches, B, T] bytes), "data.inputs" (gaussian source), or
 * running state of a norm (float64, "state.blocks.0.attn.norm_in.running_mean"; core/norm/over_batch.h).
 * data may be overwritten by the callback before the first pass: that is how weights are loaded. */
typedef enum tensor_type { TENSOR_F32, TENSOR_F64, TENSOR_I32, TENSOR_U8 } tensor_type;

typedef struct tensor_view {
    const char *name;
    tensor_type type;
    int rank;
    size_t dims[4];
    void *data;
} tensor_view;

enum tensor_when { TENSOR_INITIAL, TENSOR_FINAL, TENSOR_PROBE, TENSOR_PROXY };

/* What theory says of one number at step 0. tolerance: how far one seed may be from it, on ln of
 * the value where the metric's scale is log, else on the value. */
typedef struct prediction {
    int layer;
    site site;
    metric metric;
    const char *param; /* as in measurement */
    double value, tolerance;
    law law;
    reason reason; /* REASON_NONE exactly when value is finite; else there may be one row for the
                      whole metric, at layer -1 and SITE_run */
} prediction;

/* Where results go. All callbacks come from the thread that called run. Any may be NULL.
 * progress returns false to cancel; it is called at least once per block of each pass.
 * tensor: TENSOR_INITIAL and TENSOR_FINAL for every parameter and data tensor, before the first and
 * after the last pass; TENSOR_PROBE for each site value ("act.<layer>.<site>") and gradient
 * ("grad.<layer>.<site>") and parameter gradient ("grad.<parameter>") at probed steps, when
 * want_probe_tensors is set (costs memory: all of them are kept). TENSOR_PROXY: the parameters and
 * data of a network made for a proxy (core/proxy/proxy.h), to be overwritten as at TENSOR_INITIAL;
 * step is 0 where weights and data are the run's, 1 where the data are its own (SynFlow), 2 where
 * both are (Zen-score). A false return ends the run with ERR_IO. */
typedef struct sink {
    void *user;
    void (*measure)(void *user, const measurement *m, size_t n);
    void (*step)(void *user, const step_record *s);
    bool (*progress)(void *user, const progress *p);
    bool (*tensor)(void *user, enum tensor_when when, int step, const tensor_view *t);
    void (*predict)(void *user, const prediction *p, size_t n); /* before the first pass */
    bool (*predict_layer)(void *user, int layer); /* is it to be told of this one? NULL: of all */
    bool want_probe_tensors;
} sink;

typedef struct run_input {
    const unsigned char *corpus; /* source text: its bytes, at least seq_len + 2 of them */
    size_t corpus_bytes;
} run_input;

/* How it ended. A loss that stops being finite ends the training of the run: a result. */
typedef struct run_summary {
    bool diverged;
    int diverged_step;      /* step whose pass first met a non-finite value */
    bool diverged_backward; /* the forward pass and the loss are finite, a gradient is not */
    int diverged_layer;     /* where that pass first met it, the backward pass from the output down;
                               -1: in the loss alone */
    site diverged_site;     /* param: in the gradient of a parameter of that layer alone */
    int steps_done;         /* updates made */
} run_summary;

#endif

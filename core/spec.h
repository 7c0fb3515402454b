/* One run, fully resolved: what the engine is asked to compute. Plain data, precision-free.
 *
 * Choices from a registry are row indices of that registry (engine->registries). Every field has a
 * value: the reader fills defaults before the engine sees a spec. NaN marks the three optional
 * numbers that mean "by the rule of the init" or "off".
 */
#ifndef CORE_SPEC_H
#define CORE_SPEC_H

#include "core/base/catalog.h"

#include <stdint.h>

enum { SPEC_STEPS_MAX = 64, SPEC_CORPUS_NAME = 64 };

enum spec_mask { MASK_CAUSAL, MASK_BIDIRECTIONAL };           /* names: "causal", "bidirectional" */
enum spec_precision { PRECISION_FLOAT32, PRECISION_FLOAT64 }; /* "float32", "float64" */
enum spec_decay { DECAY_MATRICES, DECAY_ALL };                /* "matrices", "all" */

typedef struct spec_model {
    int family;     /* registry models: transformer */
    int mask;       /* enum spec_mask; causal is a decoder, bidirectional an encoder */
    int d_model;    /* D */
    int n_heads;    /* H, divides D */
    int n_kv_heads; /* divides H; H is multi-head, less is grouped-query */
    int d_ff;       /* F */
    int vocab;      /* V */
    int position;   /* registry positions */
    double rope_base;
    int activation; /* registry activations */
    bool bias;      /* biases on the linear maps of the blocks */
    bool tied;      /* output matrix is the embedding */
    bool
        qk_norm; /* q and k normed per head over d_k, before rope; same norm type as the strategy */
    bool parallel;      /* x + A(N(x)) + M(N(x)), one input norm shared by both branches */
    double embed_scale; /* embeddings are multiplied by this on lookup */
} spec_model;

typedef struct spec_strategy {
    int placement; /* registry placements */
    int norm;      /* registry norms */
    double eps;
    bool affine;
    bool embed_norm;       /* norm on x_0 */
    bool final_norm;       /* norm before the output matrix */
    double residual_scale; /* branches are multiplied by this before the add */
} spec_strategy;

typedef struct spec_init {
    int scheme;       /* registry inits */
    double std;       /* of scheme gpt2 and small; ignored by the others */
    bool depth_scale; /* W_O and W_2 divided by sqrt(2 L) */
    double embed_std; /* of embedding and position tables; NaN: by the scheme */
    double head_std;  /* of an untied output matrix; NaN: by the scheme */
} spec_init;

typedef struct spec_data {
    int source;                    /* registry data_sources */
    char corpus[SPEC_CORPUS_NAME]; /* source text: which corpus; "" for the others */
    int batch;                     /* B */
    int seq_len;                   /* T */
    int batches;                   /* distinct batches, cycled over the steps */
    double token_corr;             /* source gaussian: correlation of two tokens of a sequence */
    double mask_fraction;          /* encoders: share of positions that carry the loss */
} spec_data;

typedef struct spec_train {
    int steps;
    int loss;      /* registry losses */
    int optimizer; /* registry optimizers */
    double lr;
    double momentum;     /* sgd */
    double beta1, beta2; /* adamw */
    double eps;          /* adamw */
    double weight_decay;
    int decay;     /* enum spec_decay: which parameters decay */
    int warmup;    /* steps of linear warm-up */
    int schedule;  /* registry schedules: constant, cosine */
    double min_lr; /* cosine: share of lr at the last step */
    double clip;   /* global gradient norm; NaN: no clipping */
} spec_train;

typedef struct spec_measure {
    int steps[SPEC_STEPS_MAX]; /* ascending, each 0..train.steps: after so many updates */
    int n_steps;
    bool sites[SITE_COUNT];
    bool metrics[METRIC_COUNT];
} spec_measure;

typedef struct run_spec {
    spec_model model;
    spec_strategy strategy;
    int depth; /* L */
    spec_init init;
    spec_data data;
    spec_train train;
    spec_measure measure;
    int precision; /* enum spec_precision */
    uint64_t seed;
} run_spec;

#endif

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

enum {
    SPEC_STEPS_MAX = 64,
    SPEC_CORPUS_NAME = 64,
    SPEC_OVERRIDES_MAX = 32,
    SPEC_SCALES_MAX = 256 /* longest list strategy.residual_scales */
};

enum spec_mask { MASK_CAUSAL, MASK_BIDIRECTIONAL };           /* names: "causal", "bidirectional" */
enum spec_precision { PRECISION_FLOAT32, PRECISION_FLOAT64 }; /* "float32", "float64" */
enum spec_parametrization { PARAMETRIZATION_STANDARD, PARAMETRIZATION_MUP }; /* "standard", "mup" */
enum spec_decay { DECAY_MATRICES, DECAY_ALL };                               /* "matrices", "all" */
enum spec_span { SPAN_HEAD, SPAN_JOINT };                                    /* "head", "joint" */
enum spec_sigma { SIGMA_LIVE, SIGMA_FROZEN };                                /* "live", "frozen" */
enum spec_divisor { DIVISOR_BATCH, DIVISOR_FORWARD }; /* "batch", "forward" */
enum spec_round_scale { ROUND_TENSOR, ROUND_ROW };    /* "tensor", "row" */
/* "inv_sqrt" 1/sqrt(d_k), "one", "sqrt" sqrt(d_k), "cosine" learned per head */
enum spec_logit_scale { LOGITS_INV_SQRT, LOGITS_ONE, LOGITS_SQRT, LOGITS_COSINE };
enum spec_branch_gain {
    BRANCH_GAIN_NONE,
    BRANCH_GAIN_LAYER,
    BRANCH_GAIN_SCALAR,
    BRANCH_GAIN_CHANNEL
};
/* A factor that depends on depth L and block l = 1..L: strategy_depth_rule(). */
enum spec_depth_rule {
    RULE_CONSTANT,           /* "constant" 1 */
    RULE_INV_SQRT_DEPTH,     /* "inv_sqrt_depth" 1/sqrt(L) */
    RULE_INV_DEPTH,          /* "inv_depth" 1/L */
    RULE_INV_SQRT_SUBLAYERS, /* "inv_sqrt_sublayers" 1/sqrt(2 L) */
    RULE_INV_SQRT_LAYER      /* "inv_sqrt_layer" 1/sqrt(l) */
};

typedef struct spec_model {
    int family;     /* registry models: transformer */
    int mixer, mlp; /* registries mixers, mlps: the sublayers of a block; row none: it has none */
    int mask;       /* enum spec_mask; causal is a decoder, bidirectional an encoder */
    int d_model;    /* D */
    int n_heads;    /* H, divides D */
    int n_kv_heads; /* divides H; H is multi-head, less is grouped-query */
    int d_ff;       /* F */
    int vocab;      /* V */
    int position;   /* registry positions */
    double rope_base;
    int activation;         /* registry activations */
    double rope_base_local; /* of blocks with a window; NaN: rope_base */
    double rope_fraction;   /* share of a head's features that turn, the first ones */
    bool bias;              /* biases on the linear maps of the blocks: default of the next four */
    bool qkv_bias, k_bias, attn_out_bias, mlp_bias;
    bool tied;           /* output matrix is the embedding */
    int head_dim;        /* d_k */
    bool qk_norm;        /* q and k normed before rope */
    int qk_norm_span;    /* enum spec_span: per head over d_k, or over all heads at once */
    int qk_norm_type;    /* registry norms, of q, k and v */
    bool v_norm;         /* v normed per head */
    int logit_scale;     /* enum spec_logit_scale */
    double logit_factor; /* another factor on q.k */
    double logit_softcap,
        final_softcap; /* c tanh(z/c) on attention and vocabulary logits; NaN: none */
    int window; /* tokens a position of a local block sees, itself included; 0: no local block */
    int global_every; /* block l sees everything when l is a multiple of this, else the window */
    double alpha_dropout;     /* share of the units that alpha dropout sets to SELU's lower limit */
    bool parallel;            /* x + A(N(x)) + M(N(x)) */
    double embed_scale;       /* embeddings are multiplied by this on lookup */
    bool embed_scale_learned; /* embed_scale is where a learned scalar starts */
} spec_model;

/* What an override can change in a range of blocks. */
#define SPEC_LAYER                                                                                 \
    int norm; /* registry norms */                                                                 \
    double eps;                                                                                    \
    bool affine;                                                                                   \
    int sigma;             /* enum spec_sigma: statistics of this pass, or those of the first */   \
    double residual_scale; /* branches are multiplied by this before the add */

typedef struct spec_layer {
    SPEC_LAYER
} spec_layer;

enum spec_layers { LAYERS_RANGE, LAYERS_ALL, LAYERS_EARLY, LAYERS_MIDDLE, LAYERS_LATER };
enum spec_override_bit {
    OVERRIDE_NORM = 1,
    OVERRIDE_EPS = 2,
    OVERRIDE_AFFINE = 4,
    OVERRIDE_SIGMA = 8,
    OVERRIDE_RESIDUAL_SCALE = 16
};

typedef struct spec_override {
    int layers;      /* enum spec_layers; thirds are of the blocks */
    int first, last; /* LAYERS_RANGE: blocks from 1, both included */
    unsigned given;  /* enum spec_override_bit: which members of layer count */
    spec_layer layer;
} spec_override;

typedef struct spec_strategy {
    int placement; /* registry placements */
    union {
        struct {
            SPEC_LAYER
        };
        spec_layer layer;
    };
    double gain_init;                        /* where norm gains start */
    bool unit_offset;                        /* gains are stored as w, used as 1 + w */
    double out_gain_init;                    /* of norms on branch outputs, times out_gain_rule */
    int out_gain_rule;                       /* enum spec_depth_rule */
    bool embed_norm;                         /* norm on x_0 */
    bool final_norm;                         /* norm before the output matrix */
    int residual_rule;                       /* enum spec_depth_rule, times residual_scale */
    double residual_scales[SPEC_SCALES_MAX]; /* per block, times the above */
    int n_residual_scales;                   /* 0 or depth */
    int branch_gain;                         /* enum spec_branch_gain */
    double branch_gain_init;
    double alpha, beta; /* constants of the placement; NaN: by its rule */
    int partner_depth;  /* blocks of the other stack of an encoder-decoder; 0: none */
    double fraction;    /* of the blocks that a mixed placement treats in its first way */
    bool init_factor;   /* the placement's own factors on the initial weights apply */
    bool fixnorm;       /* embedding rows scaled to length sqrt(D) on lookup */
    bool gpas;          /* gradient-preserving scaling of the stream */
    bool resscale;      /* normformer: learned gain on the stream before the MLP's add */
    bool recentre;      /* what writes to the stream loses its mean over features */
    int parallel_norms; /* parallel blocks: one norm for both branches, or one each */
    double alpha_attn, alpha_mlp, alpha_final; /* dyt, derf: where alpha starts */
    int groups;                                /* groupnorm */
    double stat_keep;   /* share of a running statistic that an update keeps */
    int stat_warmup;    /* updates before running statistics are used */
    int stat_window;    /* unifiednorm: passes in its windows */
    bool stat_filter;   /* unifiednorm: outlier batches are not smoothed */
    bool stat_compat;   /* powernorm, unifiednorm: as released, else repaired */
    int stat_divisor;   /* enum spec_divisor: powernorm's backward pass */
    int group_scale;    /* powernorm: groups of the scaling in front; 0: none */
    int progress_steps; /* prepbn: updates until only batch statistics are left */
    double gamma_last;  /* e_spa: decay of the last kernel */
    double rho_last;    /* u_spa: correlation of the last kernel */
    spec_override overrides[SPEC_OVERRIDES_MAX];
    int n_overrides;
} spec_strategy;

typedef struct spec_init {
    int scheme;          /* registry inits */
    double std;          /* of the schemes with one number for many matrices */
    double gain;         /* factor on the matrices of the blocks */
    bool depth_scale;    /* W_O and W_2 divided by sqrt(2 L) */
    double embed_std;    /* of embedding and position tables; NaN: by the scheme */
    double position_std; /* of the position table; NaN: as embed_std */
    double head_std;     /* of an untied output matrix; NaN: by the scheme */
} spec_init;

typedef struct spec_data {
    int source;                    /* registry data_sources */
    char corpus[SPEC_CORPUS_NAME]; /* source text: which corpus; "" for the others */
    int batch;                     /* B */
    int seq_len;                   /* T */
    int batches;                   /* distinct batches, cycled over the steps */
    double variance;               /* source gaussian: of each feature of the inputs */
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
    int decay;                     /* enum spec_decay: which parameters decay */
    int warmup;                    /* steps of linear warm-up */
    int schedule;                  /* registry schedules: constant, cosine */
    double min_lr;                 /* cosine: share of lr at the last step */
    double clip;                   /* global gradient norm; NaN: no clipping */
    int parametrization;           /* enum spec_parametrization */
    int base_width, base_head_dim; /* mup: of the network that the others learn like */
} spec_train;

/* Formats are rows of the registry formats; 0 is none. */
typedef struct spec_rounding {
    int format; /* default of the next two */
    int activations, gradients, weights;
    bool stochastic;   /* gradients */
    int scale;         /* enum spec_round_scale: of int8 */
    double loss_scale; /* a power of two */
} spec_rounding;

typedef struct spec_measure {
    int steps[SPEC_STEPS_MAX]; /* ascending, each 0..train.steps: after so many updates */
    int n_steps;
    bool sites[SITE_COUNT];
    bool metrics[METRIC_COUNT];
    bool eval;  /* probes see the network as it is used: running statistics, no update of them */
    int probes; /* random vectors of the metrics that are estimated from some */
    int iterations; /* of those that are found step by step */
    bool theory;    /* predictions beside the measurements of step 0 */
} spec_measure;

/* Networks that core/proxy makes of a run's; a job's is DERIVED_NONE. DERIVED_SUM: the loss is the
 * sum of the vocabulary logits. DERIVED_SYNFLOW: the stream is multiplied by a constant after each
 * block. */
enum spec_derived { DERIVED_NONE, DERIVED_SUM, DERIVED_SYNFLOW };

typedef struct run_spec {
    spec_model model;
    spec_strategy strategy;
    int depth; /* L */
    spec_init init;
    spec_data data;
    spec_train train;
    spec_rounding rounding;
    spec_measure measure;
    int precision; /* enum spec_precision */
    uint64_t seed;
    int derived; /* enum spec_derived */
} run_spec;

#endif

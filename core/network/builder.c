#include "core/network/builder.h"

#include "core/network/parametrization.h"
#include "core/norm/over_batch.h"
#include "core/op/op.h"

#include <math.h>
#include <string.h>

void builder_begin(builder *b, int layer)
{
    b->g->segment = b->g->layer = layer;
    b->layer = strategy_layer(b->spec, layer);
    b->entered = NONE;
    b->in_scale = 1;
}

/* --- norms ------------------------------------------------------------------------------------ */

typedef enum part { PART_ATTN, PART_MLP, PART_FINAL } part;

static const struct {
    const char *prefix;
    const char *roles[NORM_PARAMS];
    const char *eta, *layer[2]; /* of norms with batch statistics */
    int site;
    part part;
    bool is_out;
} slots[] = {
#define SLOT(name, prefix, site, part, is_out)                                                     \
    {prefix,        {prefix ".weight", prefix ".bias", prefix ".alpha", prefix ".shift"},          \
     prefix ".eta", {prefix ".layer_weight", prefix ".layer_bias"},                                \
     site,          part,                                                                          \
     is_out},
    NORM_SLOTS(SLOT)
#undef SLOT
};

static double gain_start(const builder *b, norm_slot slot, const norm *n, size_t width)
{
    const spec_strategy *s = &b->spec->strategy;
    double start = s->gain_init;
    if (slots[slot].is_out)
        start *=
            s->out_gain_init * strategy_depth_rule(s->out_gain_rule, b->spec->depth, b->g->layer);
    if (n->scalar_gain) start *= sqrt((double)width);
    return s->unit_offset ? start - 1 : start;
}

static double alpha_start(const builder *b, norm_slot slot)
{
    const spec_strategy *s = &b->spec->strategy;
    const double starts[] = {s->alpha_attn, s->alpha_mlp, s->alpha_final};
    return starts[slots[slot].part];
}

/* The parameter of one kind, or NONE. width: features of a row that has gains of its own. */
static int norm_parameter(builder *b, norm_slot slot, const norm *n, norm_param kind, size_t width)
{
    bool is_affine = kind == NORM_GAIN || kind == NORM_BIAS;
    if (!(n->has & 1u << kind) || (is_affine && !b->layer.affine)) return NONE;
    const char *role = slots[slot].roles[kind];
    size_t count = kind == NORM_BIAS || (kind == NORM_GAIN && !n->scalar_gain) ? width : 1;
    double start = kind == NORM_GAIN    ? gain_start(b, slot, n, width)
                   : kind == NORM_ALPHA ? alpha_start(b, slot)
                                        : 0;
    param_kind as = kind == NORM_GAIN    ? PARAM_GAIN
                    : kind == NORM_BIAS  ? PARAM_BIAS
                    : kind == NORM_SHIFT ? PARAM_SHIFT
                                         : PARAM_LEARNED;
    return graph_vector(b->g, as, role, count, start);
}

/* A norm with batch statistics. Its second pair of gain and bias, and eta, which starts at 1, are
 * those of prepbn and repbn. */
static int batch_norm_node(builder *b, norm_slot slot, const norm_args *base, int x)
{
    const norm *n = base->norm;
    batch_norm_args how = {.norm = *base, .eta = NONE, .layer = {NONE, NONE}};
    size_t width = (size_t)b->g->values[x].cols;
    if (n->batch->has_eta) how.eta = graph_vector(b->g, PARAM_LEARNED, slots[slot].eta, 1, 1);
    if (n->batch->lambda && b->layer.affine) {
        how.layer[0] = graph_vector(b->g, PARAM_GAIN, slots[slot].layer[0], width,
                                    gain_start(b, slot, n, width));
        how.layer[1] = graph_vector(b->g, PARAM_BIAS, slots[slot].layer[1], width, 0);
    }
    return op_batch_norm_build(b->g, x, &how);
}

int builder_norm_as(builder *b, norm_slot slot, const norm *n, int x, int groups)
{
    if (n->is_identity) return x;
    graph *g = b->g;
    norm_args how = {.norm = n->of_groups ? n->of_groups : n,
                     .groups = n->of_groups ? b->spec->strategy.groups : groups,
                     .own_gains = n->of_groups != NULL,
                     .unit_offset = b->spec->strategy.unit_offset,
                     .role = slots[slot].prefix,
                     .eps = b->layer.eps};
    size_t width = (size_t)(g->values[x].cols / groups);
    for (int i = 0; i < NORM_PARAMS; i++)
        how.params[i] = norm_parameter(b, slot, n, (norm_param)i, width);
    how.frozen = b->layer.sigma == SIGMA_FROZEN && n->frozen_input;
    how.first_apart = b->spec->model.mask == MASK_CAUSAL;
    if (n->batch) return batch_norm_node(b, slot, &how, x);
    return op_norm_build(g, x, &how);
}

int builder_norm(builder *b, norm_slot slot, int x)
{
    int y = builder_norm_as(b, slot, norm_table[b->layer.norm], x, 1);
    if (slots[slot].site != NONE) graph_site(b->g, y, (site)slots[slot].site);
    return y;
}

int builder_parallel_norm(builder *b, int x, int in)
{
    return b->spec->strategy.parallel_norms == 2 ? builder_norm(b, SLOT_MLP_IN, x) : in;
}

/* --- branches --------------------------------------------------------------------------------- */

/* n matrices of the same input, times c, side by side in one product; bias_roles[i] NULL: no bias.
 */
static int linear(builder *b,
                  double c,
                  int x,
                  const block_matrix *which,
                  const char *const *bias_roles,
                  const int *widths,
                  int n)
{
    int weights[3], biases[3], in = b->g->values[x].cols;
    bool has_bias = false;
    for (int i = 0; i < n; i++) {
        weights[i] = graph_matrix(b->g, which[i], (size_t)widths[i], (size_t)in);
        has_bias |= bias_roles[i] != NULL;
    }
    for (int i = 0; i < n && has_bias; i++)
        biases[i] = bias_roles[i]
                        ? graph_param(b->g, PARAM_BIAS, bias_roles[i], (size_t)widths[i], 0)
                        : NONE;
    return op_linear_scaled_build(b->g, c, x, weights, has_bias ? biases : NULL, n);
}

/* Does the block see only a window? */
static bool is_local(const builder *b)
{
    const spec_model *m = &b->spec->model;
    return m->window > 0 && (!m->global_every || b->g->layer % m->global_every);
}

static int rope(builder *b, int x, int heads)
{
    const spec_model *m = &b->spec->model;
    const double rounding = 1e-9; /* a fraction such as 0.25 of a width is meant exactly */
    int turned = 2 * (int)floor(m->rope_fraction * m->head_dim / 2 + rounding);
    bool local = is_local(b) && !isnan(m->rope_base_local);
    if (turned == 0) return x;
    return op_rope_build(b->g, x, heads, turned, local ? m->rope_base_local : m->rope_base);
}

/* q or k as the attention sees it: normed, then turned. */
static int prepare_head(builder *b, int x, int heads, norm_slot slot)
{
    const spec_model *m = &b->spec->model;
    int groups = m->qk_norm_span == SPAN_HEAD ? heads : 1;
    if (m->qk_norm) x = builder_norm_as(b, slot, norm_table[m->qk_norm_type], x, groups);
    if (b->position->rotates) x = rope(b, x, heads);
    if (m->logit_scale == LOGITS_COSINE) x = builder_norm_as(b, slot, &norm_l2norm, x, heads);
    return b->inside->turned ? b->inside->turned(b, x, slot == SLOT_ATTN_K) : x;
}

static double logit_scale(const run_spec *spec)
{
    const spec_model *m = &spec->model;
    double root = sqrt((double)m->head_dim);
    if (m->logit_scale == LOGITS_INV_SQRT) return parametrization_logits(spec) / root;
    return m->logit_scale == LOGITS_SQRT ? root : 1;
}

static int attend(builder *b, int q, int k, int v)
{
    const spec_model *m = &b->spec->model;
    const double start = 2.302585092994046; /* ln 10, as released with Swin-V2 */
    attention_args how = {.heads = m->n_heads,
                          .kv_heads = m->n_kv_heads,
                          .causal = m->mask == MASK_CAUSAL,
                          .window = is_local(b) ? m->window : 0,
                          .scale = logit_scale(b->spec) * m->logit_factor,
                          .tau = NONE,
                          .softcap = m->logit_softcap,
                          .bias = b->inside->logit_bias,
                          .bias_work = b->inside->bias_work ? b->inside->bias_work(b->spec) : 0,
                          .by_distance = NONE,
                          .position = b->position};
    if (b->position->buckets) how.by_distance = graph_find_param(b->g, "distance_bias.weight");
    if (m->logit_scale == LOGITS_COSINE)
        how.tau = graph_vector(b->g, PARAM_LEARNED, "attn.logit_tau", (size_t)m->n_heads, start);
    return op_attention_build(b->g, q, k, v, &how);
}

static void attention_sites(builder *b, const node *n)
{
    graph *g = b->g;
    int logits = n->outputs[2], probs = n->outputs[1], entropy = n->outputs[3];
    const bool *metrics = b->spec->measure.metrics;
    bool wants_entropy = metrics[METRIC_attn_entropy] || metrics[METRIC_attn_entropy_norm] ||
                         metrics[METRIC_attn_entropy_norm_p5];
    tap *t = graph_site(g, logits, SITE_logits);
    if (t) t->is_matrix = true;
    t = graph_site(g, probs, SITE_attn_prob);
    if (!t) return;
    t->is_matrix = true;
    if (!wants_entropy) return;
    t->entropy = entropy;
    g->values[entropy].measured = true;
}

int builder_attention(builder *b, int x)
{
    graph *g = b->g;
    const spec_model *m = &b->spec->model;
    int width = m->head_dim, kv = m->n_kv_heads * width;
    int qkv = linear(
        b, b->in_scale, x, (const block_matrix[]){MATRIX_query, MATRIX_key, MATRIX_value},
        (const char *const[]){m->qkv_bias ? "attn.q.bias" : NULL, m->k_bias ? "attn.k.bias" : NULL,
                              m->qkv_bias ? "attn.v.bias" : NULL},
        (const int[]){m->n_heads * width, kv, kv}, 3);
    int q = graph_view(g, qkv, 0, m->n_heads * width),
        k = graph_view(g, qkv, m->n_heads * width, kv);
    int v = graph_view(g, qkv, m->n_heads * width + kv, kv);
    q = prepare_head(b, q, m->n_heads, SLOT_ATTN_Q);
    k = prepare_head(b, k, m->n_kv_heads, SLOT_ATTN_K);
    if (m->v_norm)
        v = builder_norm_as(b, SLOT_ATTN_V, norm_table[m->qk_norm_type], v, m->n_kv_heads);
    graph_site(g, q, SITE_q);
    graph_site(g, k, SITE_k);
    graph_site(g, v, SITE_v);
    int beside = b->inside->beside ? b->inside->beside(b, v) : NONE;
    int y = attend(b, q, k, v);
    if (!g->failed) attention_sites(b, &g->nodes[g->n_nodes - 1]);
    if (b->inside->weighted) y = b->inside->weighted(b, y, beside);
    graph_site(g, y, SITE_attn_head_out);
    if (b->inside->values) y = b->inside->values(b, y);
    int raw = linear(b, 1, y, (const block_matrix[]){MATRIX_attn_out},
                     (const char *const[]){m->attn_out_bias ? "attn.o.bias" : NULL}, &b->width, 1);
    graph_site(g, raw, SITE_attn_raw);
    return raw;
}

/* Units behind the activation, from a matrix to `width` of them, or two where it is gated. */
static int units(builder *b, int x, int width)
{
    const spec_model *m = &b->spec->model;
    const block_matrix which[] = {MATRIX_gate, MATRIX_up};
    const char *const biases[] = {m->mlp_bias ? "mlp.gate.bias" : NULL,
                                  m->mlp_bias ? "mlp.up.bias" : NULL};
    int skip = b->activation->gate ? 0 : 1;
    int hidden = linear(b, b->in_scale, x, which + skip, biases + skip, (const int[]){width, width},
                        2 - skip);
    if (b->inside->hidden_in) hidden = b->inside->hidden_in(b, hidden);
    graph_site(b->g, hidden, SITE_mlp_pre);
    int active = op_activate_build(b->g, hidden, b->activation);
    if (m->alpha_dropout > 0) active = op_alpha_dropout_build(b->g, active, m->alpha_dropout);
    graph_site(b->g, active, SITE_mlp_act);
    return b->inside->hidden ? b->inside->hidden(b, active) : active;
}

int builder_layer(builder *b, int x)
{
    return units(b, x, b->width);
}

int builder_mlp(builder *b, int x)
{
    const spec_model *m = &b->spec->model;
    int active = units(b, x, m->d_ff);
    int raw = linear(b, 1, active, (const block_matrix[]){MATRIX_down},
                     (const char *const[]){m->mlp_bias ? "mlp.down.bias" : NULL}, &b->width, 1);
    graph_site(b->g, raw, SITE_mlp_raw);
    return raw;
}

const branch branch_attention = {.build = builder_attention,
                                 .in = SLOT_ATTN_IN,
                                 .out = SLOT_ATTN_OUT,
                                 .post = SLOT_ATTN_POST,
                                 .beside = SLOT_ATTN_Y,
                                 .site = SITE_attn_branch,
                                 .gain = "attn.branch_gain"};

/* Where the norms of an MLP sit, whatever it is made of. */
#define AN_MLP                                                                                     \
    .is_mlp = true, .in = SLOT_MLP_IN, .out = SLOT_MLP_OUT, .post = SLOT_MLP_POST,                 \
    .beside = SLOT_MLP_Y, .site = SITE_mlp_branch, .gain = "mlp.branch_gain"

const branch branch_mlp = {AN_MLP, .build = builder_mlp};

const branch branch_layer = {AN_MLP, .one_matrix = true, .build = builder_layer};
#undef AN_MLP

/* --- sums ------------------------------------------------------------------------------------- */

int builder_gain_as(
    builder *b, const char *role, size_t n, double start, const gain_map *map, double scale, int x)
{
    int p = graph_block_param(b->g, role);
    if (p == NONE) p = graph_vector(b->g, PARAM_LEARNED, role, n, start);
    return op_gain_build(b->g, x, &p, 1, map, scale);
}

int builder_gain(builder *b, const char *role, size_t n, double start, int x)
{
    return builder_gain_as(b, role, n, start, &gain_identity, 1, x);
}

int builder_shift(builder *b, const char *role, size_t n, double start, int x)
{
    return op_shift_build(b->g, x, graph_vector(b->g, PARAM_SHIFT, role, n, start));
}

/* Learned gains of the branches: strategy.branch_gain. */
static int branch_gain(builder *b, const branch *which, int y)
{
    const spec_strategy *s = &b->spec->strategy;
    const char *own = which->gain;
    switch ((enum spec_branch_gain)s->branch_gain) {
    case BRANCH_GAIN_LAYER:
        return builder_gain(b, "branch_gain", 1, s->branch_gain_init, y);
    case BRANCH_GAIN_SCALAR:
        return builder_gain(b, own, 1, s->branch_gain_init, y);
    case BRANCH_GAIN_CHANNEL:
        return builder_gain(b, own, (size_t)b->g->values[y].cols, s->branch_gain_init, y);
    case BRANCH_GAIN_NONE:
        break;
    }
    return y;
}

int builder_branch(builder *b, const branch *which, int y)
{
    double scale = strategy_residual_scale(b->spec, b->g->layer);
    y = branch_gain(b, which, y);
    if (scale != 1) y = op_scale_build(b->g, y, scale);
    if (b->spec->strategy.recentre) y = op_centre_build(b->g, y);
    graph_site(b->g, y, which->site);
    return y;
}

int builder_add(builder *b, const branch *which, int x, int y)
{
    return builder_add_scaled(b, which, 1, x, y);
}

/* The stream times 1 - SiLU(g), one g per block. Both sums of a parallel block are one: scaled
 * once, at its beginning or its end. */
int builder_gpas(builder *b, const branch *which, bool before, int x)
{
    const branch *at = b->sublayers[before ? 0 : b->n_sublayers - 1];
    if (!b->spec->strategy.gpas || before != b->inside->gpas_first) return x;
    if (b->spec->model.parallel && which != at) return x;
    return builder_gain_as(b, "gpas_gate", 1, 0, &gain_preserving, 1, x);
}

int builder_add_scaled(builder *b, const branch *which, double alpha, int x, int y)
{
    y = builder_branch(b, which, y);
    x = builder_gpas(b, which, true, x);
    x = alpha == 1 ? op_add_build(b->g, x, y) : op_mix_build(b->g, alpha, x, 1, y);
    return builder_gpas(b, which, false, x);
}

int builder_mid(builder *b, int x)
{
    graph_site(b->g, x, SITE_resid_mid);
    return x;
}

static bool is_sum(const node *n, int v)
{
    return n->op->sums && (n->inputs[0] == v) != (n->inputs[1] == v);
}

void builder_pair_branches(graph *g)
{
    for (int i = 0; i < g->n_taps && !g->failed; i++) {
        tap *t = &g->taps[i];
        int first = g->values[t->value].producer, sum = NONE;
        if (site_role_of(t->site) != ROLE_branch) continue;
        for (int k = first + 1; k < g->n_nodes && g->nodes[k].segment == g->nodes[first].segment;
             k++)
            if (is_sum(&g->nodes[k], t->value)) sum = k;
        if (sum == NONE) continue;
        g->nodes[sum].branch_tap = i;
        t->added = true;
    }
}

#include "core/builder.h"

#include "core/op.h"

#include <string.h>

static const struct {
    const char *gain, *bias;
    int site;
} slots[] = {
    [SLOT_ATTN_IN] = {"attn.norm_in.weight", "attn.norm_in.bias", SITE_norm1_out},
    [SLOT_ATTN_OUT] = {"attn.norm_out.weight", "attn.norm_out.bias", NONE},
    [SLOT_ATTN_POST] = {"attn.norm_post.weight", "attn.norm_post.bias", NONE},
    [SLOT_MLP_IN] = {"mlp.norm_in.weight", "mlp.norm_in.bias", SITE_norm2_out},
    [SLOT_MLP_OUT] = {"mlp.norm_out.weight", "mlp.norm_out.bias", NONE},
    [SLOT_MLP_POST] = {"mlp.norm_post.weight", "mlp.norm_post.bias", NONE},
    [SLOT_EMBED] = {"embed_norm.weight", "embed_norm.bias", NONE},
    [SLOT_FINAL] = {"final_norm.weight", "final_norm.bias", NONE},
};

static int norm_node(
    builder *b, const norm *n, const char *gain_role, const char *bias_role, int x, int groups)
{
    if (n->is_identity) return x;
    graph *g = b->g;
    size_t width = (size_t)(g->values[x].cols / groups);
    bool affine = b->spec->strategy.affine;
    int gain = affine && n->has_gain ? graph_param(g, PARAM_GAIN, gain_role, width, 0) : NONE;
    int bias = affine && n->has_bias ? graph_param(g, PARAM_BIAS, bias_role, width, 0) : NONE;
    return op_norm_build(g, x, n, gain, bias, groups, b->spec->strategy.eps);
}

int builder_norm(builder *b, norm_slot slot, int x)
{
    int y = norm_node(b, b->norm, slots[slot].gain, slots[slot].bias, x, 1);
    if (slots[slot].site != NONE) graph_site(b->g, y, (site)slots[slot].site);
    return y;
}

static int linear(builder *b,
                  int x,
                  param_kind kind,
                  const char *const *roles,
                  const char *const *bias_roles,
                  const int *widths,
                  int n)
{
    int weights[3], biases[3], in = b->g->values[x].cols;
    for (int i = 0; i < n; i++)
        weights[i] = graph_param(b->g, kind, roles[i], (size_t)widths[i], (size_t)in);
    if (b->spec->model.bias)
        for (int i = 0; i < n; i++)
            biases[i] = graph_param(b->g, PARAM_BIAS, bias_roles[i], (size_t)widths[i], 0);
    return op_linear_build(b->g, x, weights, b->spec->model.bias ? biases : NULL, n);
}

/* q or k as the attention sees it: normed per head, then turned. */
static int prepare_head(builder *b, int x, int heads, const char *gain, const char *bias)
{
    const norm *n = b->norm->is_identity ? &norm_rmsnorm : b->norm;
    if (b->spec->model.qk_norm) x = norm_node(b, n, gain, bias, x, heads);
    return b->position->rotates ? op_rope_build(b->g, x, heads) : x;
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
    int width = m->d_model / m->n_heads, kv = m->n_kv_heads * width;
    int qkv = linear(b, x, PARAM_INNER,
                     (const char *const[]){"attn.q.weight", "attn.k.weight", "attn.v.weight"},
                     (const char *const[]){"attn.q.bias", "attn.k.bias", "attn.v.bias"},
                     (const int[]){m->d_model, kv, kv}, 3);
    int q = graph_view(g, qkv, 0, m->d_model), k = graph_view(g, qkv, m->d_model, kv);
    int v = graph_view(g, qkv, m->d_model + kv, kv);
    q = prepare_head(b, q, m->n_heads, "attn.q_norm.weight", "attn.q_norm.bias");
    k = prepare_head(b, k, m->n_kv_heads, "attn.k_norm.weight", "attn.k_norm.bias");
    graph_site(g, q, SITE_q);
    graph_site(g, k, SITE_k);
    graph_site(g, v, SITE_v);
    int y = op_attention_build(g, q, k, v, m->n_heads, m->n_kv_heads, m->mask == MASK_CAUSAL);
    if (!g->failed) attention_sites(b, &g->nodes[g->n_nodes - 1]);
    graph_site(g, y, SITE_attn_head_out);
    int raw = linear(b, y, PARAM_OUTER, (const char *const[]){"attn.o.weight"},
                     (const char *const[]){"attn.o.bias"}, &m->d_model, 1);
    graph_site(g, raw, SITE_attn_raw);
    return raw;
}

int builder_mlp(builder *b, int x)
{
    const spec_model *m = &b->spec->model;
    bool gated = b->activation->gate != NULL;
    const char *const roles[] = {"mlp.gate.weight", "mlp.up.weight"}, *const biases[] = {
                                                                          "mlp.gate.bias",
                                                                          "mlp.up.bias"};
    int skip = gated ? 0 : 1;
    int hidden = linear(b, x, PARAM_INNER, roles + skip, biases + skip,
                        (const int[]){m->d_ff, m->d_ff}, 2 - skip);
    graph_site(b->g, hidden, SITE_mlp_pre);
    int active = op_activate_build(b->g, hidden, b->activation);
    graph_site(b->g, active, SITE_mlp_act);
    int raw = linear(b, active, PARAM_OUTER, (const char *const[]){"mlp.down.weight"},
                     (const char *const[]){"mlp.down.bias"}, &m->d_model, 1);
    graph_site(b->g, raw, SITE_mlp_raw);
    return raw;
}

int builder_add(builder *b, branch which, int x, int y)
{
    double scale = b->spec->strategy.residual_scale;
    if (scale != 1) y = op_scale_build(b->g, y, scale);
    graph_site(b->g, y, which == BRANCH_ATTN ? SITE_attn_branch : SITE_mlp_branch);
    return op_add_build(b->g, x, y);
}

int builder_mid(builder *b, int x)
{
    graph_site(b->g, x, SITE_resid_mid);
    return x;
}

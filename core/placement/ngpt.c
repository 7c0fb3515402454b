/* nGPT: everything lives on the unit sphere. With N(x) = x/||x||:
 *
 *   x' = N(x + |a_A| (N(A(x)) - x)),  y = N(x' + |a_M| (N(M(x')) - x'))
 *
 * a_A, a_M learned vectors. Queries and keys are normed per head after rope and times s_qk; MLP
 * units times s_u sqrt(D) and s_v sqrt(D); vocabulary logits times s_z. After init and after each
 * update rows of the embedding, the head and the maps into a branch, and columns of the maps out of
 * it, are scaled to length 1. No norm before the head.
 *
 * Learned numbers are stored as p and used as p value / start, which matters to Adam's step only:
 * a: value 0.05, start 1/sqrt(D); s_qk and s_z: 1, 1/sqrt(D); s_u, s_v: 1, 1.
 */
#include "core/placement/placement.h"

#include "core/op/op.h"

#include <math.h>

#define REACH 0.05 /* |a| at the start */

static double root_width(const builder *b)
{
    return sqrt((double)b->width);
}

static int unit(builder *b, norm_slot slot, int x, int groups)
{
    return builder_norm_as(b, slot, &norm_l2norm, x, groups);
}

static int sublayer(builder *b, const branch *s, int x)
{
    const double root = root_width(b);
    const char *alpha = s->is_mlp ? "mlp.alpha" : "attn.alpha";
    int to = unit(b, s->out, s->build(b, x), 1);
    int way = builder_gain_as(b, alpha, (size_t)b->width, 1 / root, &gain_absolute, REACH * root,
                              op_mix_build(b->g, 1, to, -1, x));
    graph_site(b->g, way, s->site);
    return unit(b, s->post, op_add_build(b->g, x, way), 1);
}

/* Queries and keys share their factors. */
static int turned(builder *b, int x, bool key)
{
    int heads = b->spec->model.n_heads, cols = b->g->values[x].cols;
    x = unit(b, key ? SLOT_ATTN_K : SLOT_ATTN_Q, x, heads);
    return builder_gain_as(b, "attn.qk_scale", (size_t)cols, 1 / root_width(b), &gain_identity,
                           root_width(b), x);
}

static int hidden_in(builder *b, int h)
{
    size_t width = (size_t)(b->g->values[h].cols / (b->activation->gate ? 2 : 1));
    int p[2], n = 0;
    if (b->activation->gate) p[n++] = graph_vector(b->g, PARAM_LEARNED, "mlp.gate_scale", width, 1);
    p[n++] = graph_vector(b->g, PARAM_LEARNED, "mlp.up_scale", width, 1);
    return op_gain_build(b->g, h, p, n, &gain_identity, root_width(b));
}

static int logits(builder *b, int x)
{
    return builder_gain_as(b, "logit_scale", (size_t)b->spec->model.vocab, 1 / root_width(b),
                           &gain_identity, root_width(b), x);
}

static param_projection projection(const param *p)
{
    if (p->kind == PARAM_OUTER) return PROJECT_COLUMNS;
    bool rows = p->kind == PARAM_INNER || p->kind == PARAM_EMBED || p->kind == PARAM_HEAD;
    return rows ? PROJECT_ROWS : PROJECT_NONE;
}

static err_code check(const run_spec *spec, error *err)
{
    const spec_model *m = &spec->model;
    if (m->n_kv_heads != m->n_heads)
        return error_set(
            err, ERR_COMBINATION, "/model/n_kv_heads",
            "ngpt has one scale for queries and keys: n_kv_heads %d must be n_heads %d",
            m->n_kv_heads, m->n_heads);
    if (m->bias || m->qkv_bias || m->k_bias || m->attn_out_bias || m->mlp_bias)
        return error_set(err, ERR_COMBINATION, "/model/bias", "ngpt has no biases");
    if (m->qk_norm || m->v_norm)
        return error_set(err, ERR_COMBINATION, m->qk_norm ? "/model/qk_norm" : "/model/v_norm",
                         "ngpt norms queries and keys by itself, and no values");
    return ERR_OK;
}

static double kept(const run_spec *spec, int layer)
{
    (void)spec, (void)layer;
    return 1 - REACH;
}

static double reach(const run_spec *spec, int layer)
{
    (void)spec, (void)layer;
    return REACH;
}

const placement placement_ngpt = {
    .entry = {.name = "ngpt",
              .summary = "x' = N(x + |a| (N(A(x)) - x)); y = N(x' + |a| (N(M(x')) - x')), N(x) = "
                         "x/||x||",
              .source = "arXiv:2410.01131"},
    .sublayer = sublayer,
    .theory = {.known = true,
               .toward = true,
               .unit = true,
               .attn = {.out = true, .post = true},
               .mlp = {.out = true, .post = true},
               .alpha = kept,
               .beta = reach},
    .inside = {.turned = turned, .hidden_in = hidden_in},
    .logits = logits,
    .projection = projection,
    .check = check,
};

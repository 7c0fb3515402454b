/* x' = N(omega x + A(x)), y = N(omega x' + M(x')), omega [D] learned, one per sublayer; no final
 * norm. Where omega starts is measured in one forward pass (core/op/admin.c). Source:
 * arXiv:2004.08249; Transformer-Clinic, fairseq/modules/transformer_layer.py. */
#include "core/placement/placement.h"

#include "core/op/op.h"

static int sublayer(builder *b, const branch *s, int x)
{
    const char *role = s->is_mlp ? "mlp.omega" : "attn.omega";
    int y = s->build(b, x), omega = graph_vector(b->g, PARAM_LEARNED, role, (size_t)b->width, 1);
    y = builder_branch(b, s, y);
    int sum = op_admin_build(b->g, builder_gpas(b, s, true, x), y, omega);
    return builder_norm(b, s->post, sum);
}

const placement placement_admin = {
    .entry = {.name = "admin",
              .summary = "x' = N(omega x + A(x)); y = N(omega x' + M(x')), omega learned, profiled "
                         "before the first update; no final norm",
              .source = "arXiv:2004.08249"},
    .uses = USES(RESIDUAL) | USES(GPAS),
    .inside = {.gpas_first = true},
    .theory = {.known = true, .profiled = true, .attn = {.post = true}, .mlp = {.post = true}},
    .sublayer = sublayer,
};

/* x' = N(omega x + A(x)), y = N(omega x' + M(x')), omega [D] learned, one per sublayer; no final
 * norm. Where omega starts is measured in one forward pass (core/op/admin.c). Source:
 * arXiv:2004.08249; Transformer-Clinic, fairseq/modules/transformer_layer.py. */
#include "core/placement/placement.h"

#include "core/op/op.h"

static int add(builder *b, branch which, const char *role, int x, int y)
{
    int omega = graph_vector(b->g, PARAM_LEARNED, role, (size_t)b->width, 1);
    y = builder_branch(b, which, y);
    return op_admin_build(b->g, builder_gpas(b, which, true, x), y, omega);
}

static int block(builder *b, int x)
{
    int sum = add(b, BRANCH_ATTN, "attn.omega", x, builder_attention(b, x));
    int mid = builder_mid(b, builder_norm(b, SLOT_ATTN_POST, sum));
    return builder_norm(b, SLOT_MLP_POST,
                        add(b, BRANCH_MLP, "mlp.omega", mid, builder_mlp(b, mid)));
}

const placement placement_admin = {
    .entry = {.name = "admin",
              .summary = "x' = N(omega x + A(x)); y = N(omega x' + M(x')), omega learned, profiled "
                         "before the first update; no final norm",
              .source = "arXiv:2004.08249"},
    .uses = USES(RESIDUAL) | USES(GPAS),
    .inside = {.gpas_first = true},
    .theory = {.known = true, .profiled = true, .attn = {.post = true}, .mlp = {.post = true}},
    .block = block,
};

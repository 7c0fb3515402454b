/* x' = x + a A(x + s1), y = x' + b (W_2 (f(W_1 (x' + s2) + s3) + s4)): no norm, but learned numbers
 * before each map and activation, and gains a, b, which are strategy.branch_gain. With K branches
 * in the network the last matrix of a branch starts at 0, and so does an untied head; the other m -
 * 1 matrices of a branch of m start K^(-1/(2 m - 2)) times as large.
 *
 * K is 2 L for one stack, 2 N + 3 M for an encoder of N and a decoder of M blocks
 * (strategy.partner_depth). W_Q, W_K, W_V and W_O count as m = 4. Source: arXiv:1901.09321; Fixup,
 * fairseq/models/transformer_zero.py, whose shift and gain after the encoder are left out.
 */
#include "core/placement/placement.h"

#include <math.h>

static int sublayer(builder *b, const branch *s, int x)
{
    const char *shift = s->is_mlp ? "mlp.shift_in" : "attn.shift_in";
    return builder_add(b, s, x, s->build(b, builder_shift(b, shift, 1, 0, x)));
}

static int hidden_in(builder *b, int h)
{
    return builder_shift(b, "mlp.shift_act", 1, 0, h);
}

static int hidden(builder *b, int h)
{
    return builder_shift(b, "mlp.shift_out", 1, 0, h);
}

static double branches(const run_spec *spec)
{
    double L = spec->depth, P = spec->strategy.partner_depth;
    if (!spec->strategy.partner_depth) return 2 * L;
    return spec->model.mask == MASK_CAUSAL ? 2 * P + 3 * L : 2 * L + 3 * P;
}

static init_rule start(const run_spec *spec, const param *p, init_rule r)
{
    bool head = p->kind == PARAM_HEAD && isnan(spec->init.head_std);
    bool gated = activation_table[spec->model.activation]->gate != NULL;
    int matrices = block_matrix_mixes(p->matrix) ? 4 : gated ? 3 : 2;
    if (p->kind == PARAM_OUTER || head) return init_zero_rule();
    if (p->kind == PARAM_INNER) r.scale *= pow(branches(spec), -1.0 / (2 * matrices - 2));
    return r;
}

const placement placement_fixup = {
    .entry = {.name = "fixup",
              .summary = "x' = x + a A(x + s1); y = x' + b (W_2 (f(W_1 (x' + s2) + s3) + s4)), s "
                         "learned; last matrices start at 0; no norm",
              .source = "arXiv:1901.09321"},
    .uses = USES(PAIR) | USES(RESIDUAL) | USES(PARTNER) | USES(INIT_FACTOR),
    .sublayer = sublayer,
    .theory = {.known = true},
    .inside = {.hidden_in = hidden_in, .hidden = hidden},
    .init = start,
};

#include "core/placement/skipless.h"

#include "core/op/op.h"

int skipless_sublayer(builder *b, const branch *s, int x)
{
    return s->build(b, x);
}

err_code skipless_check(const run_spec *spec, const char *name, error *err)
{
    const spec_model *m = &spec->model;
    if (m->n_kv_heads != m->n_heads)
        return error_set(err, ERR_COMBINATION, "/model/n_kv_heads",
                         "%s mixes the values of each head: n_kv_heads %d must be n_heads %d", name,
                         m->n_kv_heads, m->n_heads);
    if (m->window)
        return error_set(err, ERR_COMBINATION, "/model/window",
                         "%s is made for attention to all tokens, not to a window of %d", name,
                         m->window);
    bool no_queries = placement_table[spec->strategy.placement]->init == skipless_init &&
                      spec->strategy.init_factor;
    if (m->logit_scale == LOGITS_COSINE && no_queries)
        return error_set(err, ERR_COMBINATION, "/model/logit_scale",
                         "%s starts with W_Q = 0, and cosine divides queries by their length; "
                         "strategy.init_factor false keeps W_Q",
                         name);
    return ERR_OK;
}

static target_kernel kernel_of(const graph *g, const node *n, target_family family, double end)
{
    const run_spec *spec = g->spec;
    return target_kernel_at(family, spec->model.mask == MASK_CAUSAL, g->seq_len, n->layer,
                            spec->depth, end);
}

void skipless_fill(
    const graph *g, const node *n, target_family family, double end, real *out, double *work)
{
    target_kernel k = kernel_of(g, n, family, end);
    bool is_bias = n->op == &op_attention;
    target_kernel_fill(&k, is_bias ? out : NULL, is_bias ? NULL : out, work);
}

size_t skipless_work(const run_spec *spec, target_family family)
{
    return target_kernel_work(family, spec->model.mask == MASK_CAUSAL, spec->data.seq_len);
}

int skipless_rows(builder *b, int y, constants_fill *fill, target_family family)
{
    return op_row_scale_build(b->g, y, fill, skipless_work(b->spec, family));
}

/* Queries at zero, so that the softmax is that of the constant logits alone; values and outputs
 * orthogonal, so that their product carries a kernel over unchanged. */
init_rule skipless_init(const run_spec *spec, const param *p, init_rule r)
{
    (void)spec;
    if (p->matrix == MATRIX_query) return init_zero_rule();
    return skipless_orthogonal(p, r);
}

init_rule skipless_orthogonal(const param *p, init_rule r)
{
    bool is_one = p->matrix == MATRIX_value || p->matrix == MATRIX_attn_out;
    return is_one ? init_orthogonal_rule(1) : r;
}

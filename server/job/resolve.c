#include "server/job/resolve.h"

#include "core/base/format.h"
#include "server/job/choice.h"

#include <stdio.h>
#include <string.h>

enum { REFUSED_VALUE = 64 }; /* bytes of a value that a message shows */

static void select_defaults(bool *selected, const registry *r)
{
    for (int i = 0; i < r->n; i++) selected[i] = r->rows[i]->is_default;
}

static int default_d_ff(const run_spec *s)
{
    if (!engine_f32.activation_gated(s->model.activation)) return 4 * s->model.d_model;
    return (s->model.d_model + 2) / 3 * 8; /* 8/3 D, rounded up to a multiple of 8 */
}

/* CaiT's LayerScale, arXiv:2103.17239. */
static double default_branch_gain(const run_spec *s)
{
    if (s->strategy.branch_gain != BRANCH_GAIN_CHANNEL) return 0;
    return s->depth <= 18 ? 0.1 : s->depth <= 24 ? 1e-5 : 1e-6;
}

/* model.bias is only a default of those that there are: a network is the same whichever way it was
 * said. */
static void join_biases(spec_model *m, use_set uses)
{
    const bool attention = uses & USES(ATTENTION), mlp = uses & USES(MLP);
    m->bias =
        (!attention || (m->qkv_bias && m->k_bias && m->attn_out_bias)) && (!mlp || m->mlp_bias);
}

/* The rows with a rule, in an order in which each finds what it depends on. */
static void apply_rules(run_spec *s, const bool *given)
{
    if (!given[FIELD_model_n_kv_heads]) s->model.n_kv_heads = s->model.n_heads;
    if (!given[FIELD_model_head_dim])
        s->model.head_dim =
            s->model.d_model / s->model.n_heads > 0 ? s->model.d_model / s->model.n_heads : 1;
    if (!given[FIELD_model_d_ff]) s->model.d_ff = default_d_ff(s);
    if (!given[FIELD_model_qkv_bias]) s->model.qkv_bias = s->model.bias;
    if (!given[FIELD_model_k_bias]) s->model.k_bias = s->model.qkv_bias;
    if (!given[FIELD_model_attn_out_bias]) s->model.attn_out_bias = s->model.bias;
    if (!given[FIELD_model_mlp_bias]) s->model.mlp_bias = s->model.bias;
    if (!given[FIELD_model_qk_norm_type])
        s->model.qk_norm_type = engine_f32.head_norm(s->strategy.norm);
    if (!given[FIELD_strategy_final_norm])
        s->strategy.final_norm = engine_f32.placement_final_norm(s->strategy.placement);
    if (!given[FIELD_strategy_branch_gain_init])
        s->strategy.branch_gain_init = default_branch_gain(s);
    if (!given[FIELD_strategy_stat_warmup])
        s->strategy.stat_warmup = engine_f32.norm_warmup(s->strategy.norm);
    if (!given[FIELD_init_depth_scale])
        s->init.depth_scale = engine_f32.init_depth_scale(s->init.scheme);
    if (!given[FIELD_train_base_head_dim]) {
        int width = s->train.base_width / s->model.n_heads;
        s->train.base_head_dim = width > 0 ? width : 1;
    }
    if (!given[FIELD_init_std]) s->init.std = engine_f32.init_std(s);
    if (!given[FIELD_rounding_activations]) s->rounding.activations = s->rounding.format;
    if (!given[FIELD_rounding_gradients]) s->rounding.gradients = s->rounding.format;
    /* Only a default of those two, as model.bias is. */
    s->rounding.format = s->rounding.activations == s->rounding.gradients ? s->rounding.activations
                                                                          : (int)FORMAT_none;
    if (!given[FIELD_measure_steps]) {
        s->measure.steps[1] = s->train.steps;
        s->measure.n_steps = s->train.steps ? 2 : 1;
    }
    if (!given[FIELD_measure_sites]) select_defaults(s->measure.sites, &site_registry);
    if (!given[FIELD_measure_metrics]) select_defaults(s->measure.metrics, &metric_registry);
}

bool resolve_needs_corpus(const run_spec *spec)
{
    const registry *r = choice_registry("data_sources");
    return r && spec->data.source == registry_find(r, "text");
}

static err_code check_corpus(run_spec *s, error *err)
{
    if (!resolve_needs_corpus(s))
        memset(s->data.corpus, 0, sizeof s->data.corpus);
    else if (!*s->data.corpus)
        return error_set(err, ERR_MISSING_FIELD, "/data/corpus",
                         "the source text reads a corpus; name one in data.corpus");
    return ERR_OK;
}

static err_code check_steps(const run_spec *s, error *err)
{
    for (int i = 0; i < s->measure.n_steps; i++) {
        if (s->measure.steps[i] <= s->train.steps) continue;
        char pointer[48];
        snprintf(pointer, sizeof pointer, "/measure/steps/%d", i);
        return error_set(err, ERR_COMBINATION, pointer, "step %d is measured but train.steps is %d",
                         s->measure.steps[i], s->train.steps);
    }
    return ERR_OK;
}

static err_code set_default(run_spec *out, const field *f, error *err)
{
    const field_kind *k = kind_table[f->type];
    return k->set_default ? k->set_default((char *)out + f->offset, f, err) : ERR_OK;
}

static const bool nothing[FIELD_COUNT]; /* given */

/* Rules not applied: what has one is zero. */
static err_code fixed_defaults(run_spec *out, int family, error *err)
{
    err_code code = ERR_OK;
    memset(out, 0, sizeof *out);
    for (int i = 0; i < FIELD_COUNT && !code; i++)
        if (field_table[i].size) code = set_default(out, &field_table[i], err);
    out->model.family = family;
    if (!code) engine_f32.family_defaults(out);
    return code;
}

err_code resolve_defaults(run_spec *out, int family, error *err)
{
    err_code code = fixed_defaults(out, family, err);
    if (!code) apply_rules(out, nothing);
    return code;
}

static err_code refuse_unused(const field *f, const run_spec *s, error *err)
{
    char pointer[FIELD_POINTER];
    json_out value = {0};
    kind_table[f->type]->write(&value, f, s);
    field_pointer(pointer, f);
    err_code code = error_set(err, ERR_COMBINATION, pointer, "%s is %.*s; %s needs %s", f->name,
                              REFUSED_VALUE, value.text ? value.text : "", f->name, field_needs(f));
    json_deinit(&value);
    return code;
}

/* Fields that mean nothing to this network: refused when the job gives them another value than the
 * default, else set to it, so that what a preset or strategy brings does not make two equal runs
 * differ. */
static err_code drop_unused(run_spec *s, const draft *d, error *err)
{
    run_spec fixed, ruled;
    use_set uses = engine_f32.uses(s);
    err_code code = fixed_defaults(&fixed, s->model.family, err);
    ruled = fixed;
    apply_rules(&ruled, nothing);
    for (int i = 0; i < FIELD_COUNT && !code; i++) {
        const field *f = &field_table[i];
        const run_spec *defaults = field_omitted(f, uses) ? &ruled : &fixed;
        if (field_means(f, uses)) continue;
        if (!d->own[i] || field_equal(s, defaults, f)) {
            field_copy(s, defaults, f);
            continue;
        }
        code = refuse_unused(f, s, err);
    }
    return code;
}

/* Sites and metrics that the network does not have: refused where the job names them, else not
 * among the default ones. */
static err_code drop_names(run_spec *s, const draft *d, int id, error *err)
{
    const field *f = &field_table[id];
    const registry *r = field_choices(f);
    const use_set uses = engine_f32.uses(s);
    bool *selected = (bool *)((char *)s + f->offset);
    for (int i = 0; i < r->n; i++) {
        use_set needs = catalog_use(r, i);
        if (!selected[i] || !needs || uses & needs) continue;
        selected[i] = false;
        if (!d->given[id]) continue;
        char pointer[FIELD_POINTER];
        field_pointer(pointer, f);
        return error_set(err, ERR_COMBINATION, pointer, "%s needs %s", r->rows[i]->name,
                         use_text(needs));
    }
    return ERR_OK;
}

err_code resolve_fixed(run_spec *out, const draft *d, error *err)
{
    int family = d->given[FIELD_model_family] ? d->spec.model.family : 0;
    err_code code = fixed_defaults(out, family, err);
    for (int i = 0; i < FIELD_COUNT && !code; i++)
        if (field_table[i].size && d->given[i]) field_copy(out, &d->spec, &field_table[i]);
    return code;
}

err_code resolve_run(run_spec *out, const draft *d, width_change *width, error *err)
{
    bool given[FIELD_COUNT];
    err_code code = resolve_fixed(out, d, err);
    *width = (width_change){0};
    if (code) return code;
    memcpy(given, d->given, sizeof given);
    if (given[FIELD_model_width_scale] && d->width_scale < 1) {
        run_spec whole = *out;
        apply_rules(&whole, given);
        width_scale(out, given, width, &whole, d->width_scale);
    }
    apply_rules(out, given);
    if ((code = drop_unused(out, d, err))) return code;
    join_biases(&out->model, engine_f32.uses(out));
    if ((code = drop_names(out, d, FIELD_measure_sites, err))) return code;
    if ((code = drop_names(out, d, FIELD_measure_metrics, err))) return code;
    if ((code = check_corpus(out, err))) return code;
    return check_steps(out, err);
}

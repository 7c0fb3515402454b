#include "core/model/check.h"

#include "core/base/format.h"
#include "core/data/data.h"
#include "core/init/init.h"
#include "core/loss/loss.h"
#include "core/model/model.h"
#include "core/network/slot.h"
#include "core/network/strategy.h"
#include "core/norm/norm.h"
#include "core/optimizer/optimizer.h"
#include "core/placement/placement.h"
#include "core/position/position.h"
#include "core/schedule/schedule.h"

#include <stdio.h>

static use_set norm_uses(const norm *n, bool affine)
{
    use_set uses = n->uses;
    if (affine && n->has & 1u << NORM_GAIN) uses |= USES(GAIN);
    if (n->frozen_input) uses |= USES(SIGMA);
    if (n->has & 1u << NORM_ALPHA) uses |= USES(NORM_ALPHA);
    return uses;
}

static use_set attention_uses(const run_spec *spec)
{
    const spec_model *m = &spec->model;
    use_set uses = USES(ATTENTION) | USES(OUTER) | USES(MASK);
    if (slot_mixer(spec) != &branch_attention) return 0;
    bool turns = position_table[m->position]->rotates;
    if (turns) uses |= USES(ROPE);
    if (m->window) uses |= USES(LOCAL);
    if (turns && m->window) uses |= USES(LOCAL_ROPE);
    if (m->qk_norm) uses |= USES(QK_NORM);
    if (m->qk_norm || m->v_norm) uses |= USES(HEAD_NORM);
    return uses;
}

static use_set mlp_uses(const run_spec *spec)
{
    const branch *mlp = slot_mlp(spec);
    use_set uses = USES(MLP);
    if (!mlp) return 0;
    if (!mlp->one_matrix) uses |= USES(HIDDEN) | USES(OUTER);
    if (activation_table[spec->model.activation] == &activation_selu) uses |= USES(SELU);
    return uses;
}

/* What comes in and what goes out. */
static use_set end_uses(const run_spec *spec)
{
    const bool given = data_table[spec->data.source]->gives_inputs,
               tokens = loss_table[spec->train.loss]->uses_tokens;
    use_set uses = given ? USES(GIVEN) : USES(EMBEDDING);
    if (tokens) uses |= USES(LOGITS) | USES(MASK);
    if (tokens && spec->model.mask == MASK_BIDIRECTIONAL) uses |= USES(MASKED);
    if (tokens && (given || !spec->model.tied)) uses |= USES(HEAD);
    if (!given && position_table[spec->model.position]->has_table) uses |= USES(POSITIONS);
    return uses;
}

static use_set rounding_uses(const spec_rounding *r)
{
    use_set uses = r->gradients != FORMAT_none ? USES(GRAD_ROUNDING) : 0;
    if (r->activations == FORMAT_int8 || r->gradients == FORMAT_int8 || r->weights == FORMAT_int8)
        uses |= USES(INT8);
    return uses;
}

use_set strategy_uses(const run_spec *spec)
{
    const spec_strategy *s = &spec->strategy;
    const placement *p = placement_table[s->placement];
    /* what the placement needs is not what it offers */
    use_set uses = p->uses & ~(USES(ATTENTION) | USES(CHAIN) | USES(PAIR)),
            norms = norm_uses(norm_table[s->norm], s->affine);
    for (int i = 0; i < s->n_overrides; i++) {
        const spec_override *o = &s->overrides[i];
        int row = o->given & OVERRIDE_NORM ? o->layer.norm : s->norm;
        norms |=
            norm_uses(norm_table[row], o->given & OVERRIDE_AFFINE ? o->layer.affine : s->affine);
    }
    if (!norm_table[s->norm]->is_identity) uses |= USES(NORM);
    if (!(norms & USES(GAIN))) uses &= ~USES(OUT_GAIN);
    if (!s->init_factor) uses &= ~USES(INIT_BETA);
    if (s->branch_gain != BRANCH_GAIN_NONE) uses |= USES(BRANCH_GAIN);
    if (!spec->model.parallel) uses &= ~USES(PARALLEL);
    if (init_table[spec->init.scheme]->std) uses |= USES(INIT_STD);
    if (spec->train.parametrization == PARAMETRIZATION_MUP) uses |= USES(MUP);
    uses |= model_table[spec->model.family]->uses | optimizer_table[spec->train.optimizer]->uses |
            schedule_table[spec->train.schedule]->uses;
    if (slot_mixer(spec) && slot_mlp(spec)) uses |= USES(MIDDLE);
    return uses | norms | attention_uses(spec) | mlp_uses(spec) | end_uses(spec) |
           rounding_uses(&spec->rounding);
}

/* The override that a block has its sigma from, or -1. */
static int sigma_source(const spec_strategy *s, int depth, int layer)
{
    for (int i = s->n_overrides - 1; i >= 0; i--)
        if (s->overrides[i].given & OVERRIDE_SIGMA &&
            strategy_covers(&s->overrides[i], depth, layer))
            return i;
    return -1;
}

/* Frozen norms in a block must have something to freeze; where the norm is off there is nothing,
 * and nobody asked for it there. */
static err_code check_sigma(const run_spec *spec, int layer, error *err)
{
    spec_layer l = strategy_layer(spec, layer);
    const norm *n = norm_table[l.norm];
    int source = sigma_source(&spec->strategy, spec->depth, layer);
    char pointer[48] = "/strategy/sigma";
    if (l.sigma != SIGMA_FROZEN || n->frozen_input || (source < 0 && n->is_identity)) return ERR_OK;
    if (source >= 0) snprintf(pointer, sizeof pointer, "/strategy/overrides/%d/sigma", source);
    return error_set(err, ERR_COMBINATION, pointer,
                     "norm %s divides by no deviation that could be frozen", n->entry.name);
}

static err_code check_head_norm(const run_spec *spec, error *err)
{
    const norm *n = norm_table[spec->model.qk_norm_type];
    if (!(spec->model.qk_norm || spec->model.v_norm) || norm_fits_head(n)) return ERR_OK;
    return error_set(err, ERR_COMBINATION, "/model/qk_norm_type",
                     "norm %s has no form for queries, keys and values", n->entry.name);
}

/* Groups of features, as a field has them, in every width that a norm may see: the stream, and
 * where the placement works inside the branches. */
static err_code check_groups(const run_spec *spec, const char *field, int groups, error *err)
{
    const branch_hooks *inside = &placement_table[spec->strategy.placement]->inside;
    const spec_model *m = &spec->model;
    char pointer[48];
    const struct {
        const char *name;
        int width;
        bool seen;
    } widths[] = {{"d_model", m->d_model, true},
                  {"n_heads x head_dim", m->n_heads * m->head_dim, inside->values != NULL},
                  {"d_ff", slot_units(spec), inside->hidden != NULL || inside->hidden_in != NULL}};
    snprintf(pointer, sizeof pointer, "/strategy/%s", field);
    for (size_t i = 0; groups && i < sizeof widths / sizeof *widths; i++)
        if (widths[i].seen && widths[i].width % groups)
            return error_set(err, ERR_COMBINATION, pointer, "%s is %d; it must divide %s = %d",
                             field, groups, widths[i].name, widths[i].width);
    return ERR_OK;
}

/* Does a norm fit the stream? pointer names the field that chose it. */
static err_code check_norm(const run_spec *spec, const norm *n, const char *pointer, error *err)
{
    const spec_strategy *s = &spec->strategy;
    const placement *p = placement_table[s->placement];
    if (n->compressed != (p->narrower > 0) && !n->is_identity)
        return error_set(err, ERR_COMBINATION, pointer,
                         n->compressed
                             ? "%s is for a stream that leaves one feature out (pre_crmsnorm)"
                             : "%s cannot see the feature that this stream leaves out; allowed: "
                               "crmsnorm",
                         n->entry.name);
    return n->of_groups ? check_groups(spec, "groups", s->groups, err) : ERR_OK;
}

static err_code check_norms(const run_spec *spec, error *err)
{
    const spec_strategy *s = &spec->strategy;
    const norm *base = norm_table[s->norm];
    err_code code = check_norm(spec, base, "/strategy/norm", err);
    for (int i = 0; i < s->n_overrides && !code; i++) {
        char pointer[48];
        snprintf(pointer, sizeof pointer, "/strategy/overrides/%d/norm", i);
        if (s->overrides[i].given & OVERRIDE_NORM)
            code = check_norm(spec, norm_table[s->overrides[i].layer.norm], pointer, err);
    }
    return code;
}

/* Has override i blocks to change, and they what it changes? */
static err_code check_override(const run_spec *spec, int i, error *err)
{
    const spec_override *o = &spec->strategy.overrides[i];
    char pointer[48];
    snprintf(pointer, sizeof pointer, "/strategy/overrides/%d/layers", i);
    if (o->layers == LAYERS_RANGE && (o->first < 1 || o->last > spec->depth))
        return error_set(err, ERR_COMBINATION, pointer,
                         "layers are blocks %d to %d; the network has blocks 1 to %d", o->first,
                         o->last, spec->depth);
    int layer = 1;
    while (layer <= spec->depth && !strategy_covers(o, spec->depth, layer)) layer++;
    if (layer > spec->depth)
        return error_set(err, ERR_COMBINATION, pointer, "this third has no block at depth %d",
                         spec->depth);
    snprintf(pointer, sizeof pointer, "/strategy/overrides/%d/residual_scale", i);
    bool has_residual = placement_table[spec->strategy.placement]->uses & USES(RESIDUAL);
    if (o->given & OVERRIDE_RESIDUAL_SCALE && !has_residual)
        return error_set(err, ERR_COMBINATION, pointer, "residual_scale needs %s",
                         use_sentence(USE_RESIDUAL));
    return ERR_OK;
}

err_code strategy_check(const run_spec *spec, error *err)
{
    const spec_strategy *s = &spec->strategy;
    if (s->n_residual_scales && s->n_residual_scales != spec->depth)
        return error_set(
            err, ERR_COMBINATION, "/strategy/residual_scales",
            "residual_scales has %d numbers; depth is %d, one is needed for each block",
            s->n_residual_scales, spec->depth);
    err_code code = ERR_OK;
    for (int i = 0; i < s->n_overrides && !code; i++) code = check_override(spec, i, err);
    if (!code) code = check_norms(spec, err);
    if (!code) code = check_head_norm(spec, err);
    if (!code) code = check_groups(spec, "group_scale", s->group_scale, err);
    for (int layer = 0; layer <= spec->depth && !code; layer++)
        code = check_sigma(spec, layer, err);
    return code;
}

err_code parametrization_check(const run_spec *spec, error *err)
{
    const placement *p = placement_table[spec->strategy.placement];
    if (spec->train.parametrization != PARAMETRIZATION_MUP || !p->projection) return ERR_OK;
    return error_set(err, ERR_COMBINATION, "/train/parametrization",
                     "%s sets the lengths of its weights itself; allowed is standard",
                     p->entry.name);
}

err_code sublayers_check(const run_spec *spec, error *err)
{
    const placement *p = placement_table[spec->strategy.placement];
    const bool mixes = slot_mixer(spec) != NULL, pair = mixes && slot_mlp(spec) == &branch_mlp;
    const char *lacking = mixes ? "/model/mlp" : "/model/mixer";
    const struct {
        use use;
        bool there;
        const char *pointer;
    } needs[] = {{USE_ATTENTION, mixes, "/model/mixer"},
                 {USE_CHAIN, !mixes, "/model/mixer"},
                 {USE_PAIR, pair, lacking}};
    if (!mixes && !slot_mlp(spec))
        return error_set(err, ERR_COMBINATION, "/model/mlp",
                         "a block needs a sublayer: mixer and mlp are both none");
    if (spec->model.parallel && !pair)
        return error_set(err, ERR_COMBINATION, lacking,
                         "model.parallel sets two sublayers side by side: attention and an MLP of "
                         "two maps (mixer attention, mlp dense)");
    for (size_t i = 0; i < sizeof needs / sizeof *needs; i++)
        if (p->uses & 1ull << needs[i].use && !needs[i].there)
            return error_set(err, ERR_COMBINATION, needs[i].pointer, "%s needs %s", p->entry.name,
                             use_sentence(needs[i].use));
    return ERR_OK;
}

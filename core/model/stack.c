#include "core/model/stack.h"

#include "core/data/data.h"
#include "core/loss/loss.h"
#include "core/model/check.h"
#include "core/network/parametrization.h"
#include "core/network/slot.h"
#include "core/op/op.h"
#include "core/placement/placement.h"
#include "core/probe/gauge.h"

static err_code check_embedding(const run_spec *spec, error *err)
{
    const spec_model *m = &spec->model;
    bool given = data_table[spec->data.source]->gives_inputs;
    if (given && (spec->strategy.fixnorm || m->embed_scale_learned))
        return error_set(err, ERR_COMBINATION,
                         spec->strategy.fixnorm ? "/strategy/fixnorm"
                                                : "/model/embed_scale_learned",
                         "the data source gives inputs: there is no embedding");
    if (placement_table[spec->strategy.placement]->narrower &&
        (given || !loss_table[spec->train.loss]->uses_tokens))
        return error_set(err, ERR_COMBINATION, given ? "/data/source" : "/train/loss",
                         "the stream of %s has fewer features than d_model, as given %s have",
                         placement_table[spec->strategy.placement]->entry.name,
                         given ? "inputs" : "gradients");
    return ERR_OK;
}

err_code stack_check(const run_spec *spec, error *err)
{
    const spec_model *m = &spec->model;
    const placement *p = placement_table[spec->strategy.placement];
    err_code code = check_embedding(spec, err);
    if (code) return code;
    if (m->d_model <= p->narrower)
        return error_set(err, ERR_COMBINATION, "/model/d_model",
                         "d_model is %d; the stream of %s has %d less", m->d_model, p->entry.name,
                         p->narrower);
    if (m->parallel && !p->parallel_block)
        return error_set(err, ERR_COMBINATION, "/model/parallel",
                         "%s has no parallel form of its block", p->entry.name);
    code = sublayers_check(spec, err);
    if (!code) code = strategy_check(spec, err);
    return code || !p->check ? code : p->check(spec, err);
}

/* Token rows, of length sqrt(D) with fixnorm, times a constant or learned scale, plus positions:
 * one op as a rule. */
static int embed_tokens(builder *b)
{
    graph *g = b->g;
    const spec_model *m = &b->spec->model;
    bool fixnorm = b->spec->strategy.fixnorm, learned = m->embed_scale_learned;
    int table = graph_param(g, PARAM_EMBED, "embed.weight", (size_t)m->vocab, (size_t)b->width),
        positions = NONE;
    if (b->position->has_table)
        positions =
            graph_param(g, PARAM_POSITION, "pos.weight", (size_t)g->seq_len, (size_t)b->width);
    if (!fixnorm && !learned)
        return op_embed_build(g, table, positions, b->position, m->embed_scale);
    double scale = learned ? 1 : m->embed_scale;
    int x = op_embed_build(g, table, NONE, NULL, fixnorm ? 1 : scale);
    if (fixnorm) {
        x = builder_norm_as(b, SLOT_EMBED, &norm_l2norm, x, 1);
        x = op_scale_build(g, x, scale * sqrt((double)m->d_model));
    }
    if (learned) x = builder_gain(b, "embed_scale", 1, m->embed_scale, x);
    return op_place_build(g, x, positions, b->position);
}

static int build_embedding(builder *b)
{
    graph *g = b->g;
    bool given = data_table[b->spec->data.source]->gives_inputs;
    int x = given ? op_input_build(g) : embed_tokens(b);
    if (b->spec->strategy.embed_norm) x = builder_norm(b, SLOT_EMBED, x);
    if (b->spec->strategy.recentre) x = op_centre_build(g, x);
    graph_site(g, x, SITE_embed);
    return x;
}

/* resid_in of this block is the tensor that left the last one: the same tap under a second name. */
static void name_stream(builder *b, int x)
{
    graph *g = b->g;
    if (!b->spec->measure.sites[SITE_resid_in]) return;
    for (int t = g->nodes[g->values[x].producer].first_tap; t != NONE; t = g->taps[t].next)
        if (g->taps[t].value == x &&
            (g->taps[t].site == SITE_resid_out || g->taps[t].site == SITE_embed)) {
            g->taps[t].also_layer = g->layer;
            g->taps[t].also_site = SITE_resid_in;
            return;
        }
    graph_site(g, x, SITE_resid_in);
}

static void build_head(builder *b, const placement *place, int x)
{
    graph *g = b->g;
    const spec_model *m = &b->spec->model;
    if (b->spec->strategy.final_norm) x = builder_norm(b, SLOT_FINAL, x);
    graph_site(g, x, SITE_final_norm);
    if (!loss_table[b->spec->train.loss]->uses_tokens) {
        op_project_build(g, x);
        return;
    }
    int table = m->tied ? graph_find_param(g, "embed.weight") : NONE;
    bool unit = table != NONE && b->spec->strategy.fixnorm;
    if (table == NONE)
        table = graph_param(g, PARAM_HEAD, "lm_head.weight", (size_t)m->vocab, (size_t)b->width);
    int logits = op_linear_scaled_build(g, parametrization_readout(b->spec), x, &table, NULL, 1);
    if (unit) logits = op_unit_rows_build(g, logits, table);
    if (place->logits) logits = place->logits(b, logits);
    if (!isnan(m->final_softcap)) logits = op_softcap_build(g, logits, m->final_softcap);
    graph_site(g, logits, SITE_lm_logits);
    if (b->spec->derived == DERIVED_SUM)
        op_project_build(g, logits);
    else
        op_cross_entropy_build(g, logits);
}

static void project(graph *g, const placement *place)
{
    for (int i = 0; i < g->n_params && place->projection; i++)
        g->params[i].projection = place->projection(&g->params[i]);
}

/* Layer 1 is compared with layer 0, whether that is a site of its own or not. */
static bool compares_layers(const run_spec *spec)
{
    return gauge_compares_layers(spec) && spec->measure.sites[SITE_resid_out];
}

void stack_build(graph *g)
{
    const run_spec *spec = g->spec;
    const placement *place = placement_table[spec->strategy.placement];
    const branch *sublayers[SLOTS];
    builder b = {.g = g,
                 .spec = spec,
                 .sublayers = sublayers,
                 .n_sublayers = slot_branches(sublayers, spec),
                 .inside = &place->inside,
                 .activation = activation_table[spec->model.activation],
                 .position = position_table[spec->model.position],
                 .width = spec->model.d_model - place->narrower,
                 .second = NONE};
    builder_begin(&b, 0);
    int x = build_embedding(&b);
    if (b.position->buckets)
        graph_param(g, PARAM_DISTANCE, "distance_bias.weight", (size_t)b.position->buckets,
                    (size_t)spec->model.n_heads);
    if (place->begin) x = place->begin(&b, x);
    if (!g->failed) g->stream[0] = x;
    if (compares_layers(spec) && !spec->measure.sites[SITE_embed]) graph_hidden_tap(g, x);
    for (int l = 1; l <= spec->depth; l++) {
        builder_begin(&b, l);
        name_stream(&b, x);
        x = spec->model.parallel ? place->parallel_block(&b, x) : placement_block(&b, place, x);
        if (spec->derived == DERIVED_SYNFLOW) x = op_scale_build(g, x, 1);
        tap *t = graph_site(g, x, SITE_resid_out);
        if (!g->failed) g->stream[l] = x;
        if (l == spec->depth) g->reference_tap = t ? (int)(t - g->taps) : graph_hidden_tap(g, x);
    }
    builder_begin(&b, spec->depth + 1);
    if (place->end) x = place->end(&b, x);
    build_head(&b, place, x);
    project(g, place);
    graph_mark_gradients(g);
    builder_pair_branches(g);
}

#include "core/data/data.h"
#include "core/init/init.h"
#include "core/loss/loss.h"
#include "core/model/model.h"
#include "core/placement/placement.h"
#include "core/probe/gauge.h"
#include "core/proxy/proxy.h"

#include <math.h>
#include <string.h>

/* The metrics of a family are neighbours in metric.def: ORDER in core/base/catalog.c. */
static const struct {
    metric first, last;
} families[PROXY_FAMILIES] = {
    [PROXY_SUM] = {METRIC_hidden_cov, METRIC_softmax_confidence_per_tensor},
    [PROXY_LOSS] = {METRIC_grad_norm_sum, METRIC_head_importance_output_log10},
    [PROXY_SYNFLOW] = {METRIC_synflow, METRIC_synflow_log10},
    [PROXY_ZEN] = {METRIC_zen, METRIC_zen_std},
};

metric proxy_first(proxy_family f)
{
    return families[f].first;
}

metric proxy_last(proxy_family f)
{
    return families[f].last;
}

static bool wants(const run_spec *spec, metric first, metric last)
{
    for (int m = (int)first; m <= (int)last; m++)
        if (spec->measure.metrics[m]) return true;
    return false;
}

bool proxy_needs(const run_spec *spec, proxy_family f)
{
    return spec->measure.sites[SITE_run] && wants(spec, families[f].first, families[f].last);
}

bool proxy_any(const run_spec *spec)
{
    bool any = false;
    for (int f = 0; f < PROXY_FAMILIES; f++) any |= proxy_needs(spec, (proxy_family)f);
    return any;
}

uint64_t proxy_rows(const run_spec *spec)
{
    const uint64_t wanted = (uint64_t)gauge_count_wanted(spec, GROUP_proxy);
    return wanted * ((uint64_t)spec->depth + 1);
}

/* Of the sum of the logits: are there metrics of its gradient? */
static bool wants_slopes(const run_spec *spec)
{
    return wants(spec, METRIC_jacob_cov, METRIC_jacob_cosine) ||
           wants(spec, METRIC_synaptic_saliency, METRIC_head_importance_log10);
}

plan_options proxy_keeps(const run_spec *spec, proxy_family f)
{
    bool all = false;
    switch (f) {
    case PROXY_SUM:
        all = wants_slopes(spec);
        return (plan_options){.keep_all = all, .keep_values = !all, .backward = all};
    case PROXY_LOSS:
        all = wants(spec, METRIC_fisher, METRIC_fisher_log10) ||
              wants(spec, METRIC_head_importance_output, METRIC_head_importance_output_log10);
        return (plan_options){.keep_all = all, .keep_param_grads = true, .backward = true};
    case PROXY_ZEN:
        return (plan_options){.keep_values = true};
    default:
        return (plan_options){.keep_all = true, .backward = true};
    }
}

double proxy_family_units(const run_spec *spec, proxy_family f)
{
    const double forward = 1.0 / 3;
    if (!proxy_needs(spec, f)) return 0;
    switch (f) {
    case PROXY_LOSS: {
        bool curved =
            spec->measure.metrics[METRIC_grasp] || spec->measure.metrics[METRIC_grasp_per_tensor];
        return curved ? 3 : 1;
    }
    case PROXY_SYNFLOW:
        return 0; /* of one token */
    case PROXY_ZEN:
        return 2 * forward * ZEN_REPEATS;
    case PROXY_SUM:
        return wants_slopes(spec) ? 1 : forward;
    default:
        return 1;
    }
}

double proxy_units(const run_spec *spec)
{
    double sum = 0;
    for (int f = 0; f < PROXY_FAMILIES; f++) sum += proxy_family_units(spec, (proxy_family)f);
    return sum;
}

static void no_norms(run_spec *s)
{
    s->strategy.norm = registry_find(&norm_registry, "none");
    s->strategy.sigma = SIGMA_LIVE;
    for (int i = 0; i < s->strategy.n_overrides; i++)
        s->strategy.overrides[i].given &= OVERRIDE_RESIDUAL_SCALE;
    s->model.qk_norm = s->model.v_norm = false;
    s->model.logit_scale = LOGITS_INV_SQRT;
}

/* x_0 is given, and the stream ends without a head. */
static void given_inputs(run_spec *s, int n)
{
    s->data.source = registry_find(&data_registry, "gaussian");
    s->data.token_corr = 0;
    s->data.batches = n;
    s->train.loss = registry_find(&loss_registry, "grad_iid");
    s->strategy.fixnorm = s->model.embed_scale_learned = false;
}

static void derive_synflow(run_spec *s)
{
    const placement *p = placement_table[s->strategy.placement];
    no_norms(s);
    given_inputs(s, 1);
    s->data.batch = s->data.seq_len = 1;
    s->model.activation = registry_find(&activation_registry, "relu");
    s->model.window = 0;
    s->strategy.embed_norm = s->strategy.recentre = s->strategy.gpas = false;
    s->measure.sites[SITE_resid_out] = s->measure.sites[SITE_final_norm] = true;
    s->derived = DERIVED_SYNFLOW;
    if (p->begin || p->end || p->inside.turned || p->narrower)
        s->strategy.placement = registry_find(&placement_registry, "none");
}

static void derive_zen(run_spec *s)
{
    given_inputs(s, 2);
    s->init = (spec_init){.scheme = registry_find(&init_registry, "normal"),
                          .std = 1,
                          .gain = 1,
                          .embed_std = (double)NAN,
                          .position_std = (double)NAN,
                          .head_std = (double)NAN};
    s->strategy.init_factor = false;
    s->measure.sites[SITE_final_norm] = true;
}

static void derive_sum(run_spec *s)
{
    s->train.loss = registry_find(&loss_registry, "cross_entropy");
    s->measure.sites[SITE_embed] = s->measure.sites[SITE_resid_out] = true;
    s->measure.sites[SITE_attn_prob] = s->measure.sites[SITE_final_norm] = true;
    s->derived = DERIVED_SUM;
}

bool proxy_derive(const run_spec *spec, proxy_family f, run_spec *out)
{
    error err;
    *out = *spec;
    memset(&out->measure, 0, sizeof out->measure);
    out->train.steps = out->train.warmup = 0;
    out->rounding = (spec_rounding){.loss_scale = 1};
    switch (f) {
    case PROXY_SUM:
        derive_sum(out);
        break;
    case PROXY_LOSS:
        out->measure.sites[SITE_attn_head_out] = true;
        break;
    case PROXY_SYNFLOW:
        derive_synflow(out);
        break;
    case PROXY_ZEN:
        derive_zen(out);
        break;
    default:
        return false;
    }
    return model_table[out->model.family]->check(out, &err) == ERR_OK;
}

/* Its passes come before the run: core/estimate.c reckons them. */
const gauge gauge_proxy = {.weight = 0};

#include "core/base/catalog.h"

#include <math.h>
#include <string.h>

#define SITE(n, role, use, def, text)                                                              \
    static const entry site_##n = {.name = #n, .summary = text, .is_default = def};
#include "core/base/site.def"
#undef SITE

static const entry *const site_rows[SITE_COUNT] = {
#define SITE(n, role, use, def, text) &site_##n,
#include "core/base/site.def"
#undef SITE
};

static const site_role site_roles[SITE_COUNT] = {
#define SITE(n, role, use, def, text) ROLE_##role,
#include "core/base/site.def"
#undef SITE
};

#define METRIC(n, grp, u, dir, scl, def, text, src)                                                \
    static const entry metric_##n = {.name = #n,                                                   \
                                     .summary = text,                                              \
                                     .source = src,                                                \
                                     .group = #grp,                                                \
                                     .unit = u,                                                    \
                                     .direction = #dir,                                            \
                                     .scale = #scl,                                                \
                                     .is_default = def};
#include "core/base/metric.def"
#undef METRIC

static const entry *const metric_rows[METRIC_COUNT] = {
#define METRIC(n, grp, u, dir, scl, def, text, src) &metric_##n,
#include "core/base/metric.def"
#undef METRIC
};

/* ORDER metric: neighbours that are walked from a first to a last one, and how many they are. */
#define ORDER(first, last, count)                                                                  \
    _Static_assert(METRIC_##last - METRIC_##first + 1 == (count),                                  \
                   "rows of metric.def from " #first " to " #last)
ORDER(mean, kurtosis, 8); /* core/metric/moments.c */
ORDER(token_rms_min, token_rms_cv, 4);
ORDER(abs_top1, abs_top3, 3); /* core/metric/outlier.c */
#define FORMAT(name, ...)                                                                          \
    ORDER(name##_headroom_bits, name##_frac_flush, 4); /* core/metric/headroom.c */                \
    ORDER(name##_headroom_bits, grad_##name##_headroom_bits, 5);                                   \
    ORDER(grad_##name##_headroom_bits, grad_##name##_loss_scale, 5);
#include "core/base/format.def"
#undef FORMAT
ORDER(fp16_headroom_bits, grad_fp8_e5m2_loss_scale, 36);
ORDER(hidden_cov, softmax_confidence_per_tensor, 25); /* core/proxy/ */
ORDER(hidden_cov, hidden_cov_nulls, 3);
ORDER(hidden_cov_unit, hidden_cov_unit_nulls, 3);
ORDER(jacob_cov, jacob_cosine, 4);
ORDER(naswot, activation_distance, 2);
ORDER(synaptic_saliency, head_importance_log10, 9);
ORDER(synaptic_diversity, synaptic_diversity_log10, 3);
ORDER(grad_norm_sum, head_importance_output_log10, 14);
ORDER(grasp, grasp_per_tensor, 2);
ORDER(fisher, fisher_log10, 3);
ORDER(head_importance_output, head_importance_output_log10, 3);
ORDER(synflow, synflow_log10, 3);
ORDER(zen, zen_std, 2);
ORDER(synaptic_saliency, synaptic_saliency_log10, 3);
ORDER(head_importance, head_importance_log10, 3);
ORDER(head_confidence, head_confidence_per_tensor, 2);
ORDER(softmax_confidence, softmax_confidence_per_tensor, 2);
ORDER(grad_norm_sum, grad_norm_sum_log10, 3);
ORDER(snip, snip_log10, 3);
#undef ORDER

const registry site_registry = {"sites", "where in the network a value is measured", site_rows,
                                SITE_COUNT};
const registry metric_registry = {"metrics", "what is measured there", metric_rows, METRIC_COUNT};

#define LAW(n, what, text, src, valid)                                                             \
    static const entry law_##n = {                                                                 \
        .name = #n, .summary = text, .source = src, .predicts = what, .validity = valid};
#include "core/base/law.def"
#undef LAW

static const entry *const law_rows[LAW_COUNT] = {
#define LAW(n, what, text, src, valid) &law_##n,
#include "core/base/law.def"
#undef LAW
};

const registry law_registry = {"laws", "what theory predicts of a network at its start", law_rows,
                               LAW_COUNT};

static const char *const reason_names[REASON_COUNT] = {
    "",
#define REASON(name, sentence) #name,
#include "core/base/reason.def"
#undef REASON
};

static const char *const reason_sentences[REASON_COUNT] = {
    "",
#define REASON(name, sentence) sentence,
#include "core/base/reason.def"
#undef REASON
};

static const metric_group metric_groups[METRIC_COUNT] = {
#define METRIC(n, grp, u, dir, scl, def, text, src) GROUP_##grp,
#include "core/base/metric.def"
#undef METRIC
};

metric_group metric_group_of(metric m)
{
    return metric_groups[m];
}

static const use_set site_uses[SITE_COUNT] = {
#define SITE(n, role, use, def, text) use,
#include "core/base/site.def"
#undef SITE
};

static const use_set group_uses[GROUP_COUNT] = {
#define GROUP(n, use, site) use,
#include "core/base/group.def"
#undef GROUP
};

static const site group_sites[GROUP_COUNT] = {
#define GROUP(n, use, site) SITE_##site,
#include "core/base/group.def"
#undef GROUP
};

site metric_usual_site(metric m)
{
    return group_sites[metric_groups[m]];
}

use_set catalog_use(const registry *r, int row)
{
    if (r == &site_registry) return site_uses[row];
    return r == &metric_registry ? group_uses[metric_groups[row]] : 0;
}

site_role site_role_of(site s)
{
    return site_roles[s];
}

bool site_is_value(site s)
{
    return site_roles[s] != ROLE_parameter && site_roles[s] != ROLE_run;
}

bool site_is_stream(site s)
{
    return site_roles[s] == ROLE_state || site_roles[s] == ROLE_stream;
}

static const char *const item_names[ITEM_COUNT] = {
    "",
#define ITEM(name, summary) #name,
#include "core/base/item.def"
#undef ITEM
};

static const char *const item_summaries[ITEM_COUNT] = {
    "",
#define ITEM(name, summary) summary,
#include "core/base/item.def"
#undef ITEM
};

const char *item_name(item_kind k)
{
    return item_names[k];
}

const char *item_summary(item_kind k)
{
    return item_summaries[k];
}

const char *reason_name(reason r)
{
    return r < REASON_COUNT ? reason_names[r] : "";
}

const char *reason_sentence(reason r)
{
    return r < REASON_COUNT ? reason_sentences[r] : "";
}

reason reason_find(const char *name)
{
    for (int i = 0; name && i < REASON_COUNT; i++)
        if (strcmp(reason_names[i], name) == 0) return (reason)i;
    return REASON_NONE;
}

reason reason_of(double value)
{
    if (isnan(value)) return REASON_NAN;
    if (isinf(value)) return value > 0 ? REASON_POS_INF : REASON_NEG_INF;
    return REASON_NONE;
}

static const char *const use_sentences[USE_COUNT] = {
#define USE(name, what) what,
#include "core/base/use.def"
#undef USE
};

const char *use_sentence(use u)
{
    return use_sentences[u];
}

const char *use_text(use_set uses)
{
    for (int u = 0; u < USE_COUNT; u++)
        if (uses & (use_set)1 << u) return use_sentences[u];
    return NULL;
}

/* Measurements in, findings out: one run. */
#include "server/verdict/verdict.h"

#include "core/base/format.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

/* One metric at one site and step over layers -1 .. depth + 1. */
struct verdict_series {
    int metric, site, step;
    bool weights; /* largest over weight matrices; else, over all sites, the sum */
    bool seen;
    double *v; /* [depth + 3], of layer -1 first; NaN: not measured or undefined */
};

void verdict_rules(rules *out, const rule *own, int n_own)
{
    out->n = 0;
    for (int i = 0; i < RULE_ROWS; i++) out->at[out->n++] = &rule_table[i];
    for (int i = 0; i < n_own && out->n < RULES_MAX; i++) out->at[out->n++] = &own[i];
}

static const char *const whys[VERDICT_WHYS] = {
    [VERDICT_NO_NUMBER] = "none of its values is a number",
    [VERDICT_UNTRAINED] = "nothing was trained",
    [VERDICT_UNKNOWN] = "this build does not measure it",
    [VERDICT_ABSENT] = "it was not measured here",
    [VERDICT_UNMEASURED] = "the job does not measure it",
    [VERDICT_LOSS_GRADIENT] = "the gradient of the loss is the same for all tokens",
    [VERDICT_BIASED] = "a bias makes attention sharp on purpose",
    [VERDICT_UPDATES] = "it needs at least four updates",
    [VERDICT_NO_START] = "no step before the first update was probed",
    [VERDICT_GIVEN_WEIGHTS] = "the weights were given, not drawn",
    [VERDICT_ZERO_BRANCH] = "the branches start at zero, as they are meant to",
    [VERDICT_NO_FORMAT] = "the job neither rounds to this format nor measures its headroom",
};

const char *verdict_why_text(verdict_why why)
{
    return whys[why];
}

verdict_why verdict_why_find(const char *text)
{
    for (int i = 1; i < VERDICT_WHYS && text; i++)
        if (strcmp(whys[i], text) == 0) return (verdict_why)i;
    return text ? VERDICT_ABSENT : VERDICT_JUDGED;
}

/* --- intake ----------------------------------------------------------------------------------- */

static int row_of(const char *name)
{
    return name ? registry_find(&metric_registry, name) : -1;
}

static verdict_series *
find_series(const verdict_intake *in, int row, int where, int step, bool weights)
{
    for (int i = 0; i < in->n; i++) {
        verdict_series *s = &in->series[i];
        if (s->metric == row && s->site == where && s->step == step && s->weights == weights)
            return s;
    }
    return NULL;
}

static bool want(verdict_intake *in, const char *name, int where, int step, bool weights)
{
    int row = row_of(name);
    if (row < 0 || find_series(in, row, where, step, weights)) return true;
    double *v = malloc((size_t)(in->depth + 3) * sizeof *v);
    if (!v) return false;
    for (int l = 0; l < in->depth + 3; l++) v[l] = (double)NAN;
    in->series[in->n++] = (verdict_series){row, where, step, weights, false, v};
    in->wanted[row] = true;
    return true;
}

/* Counts are looked at after every probed step: a run that diverges never sees the last one. */
static int steps_of(int out[SPEC_STEPS_MAX], const verdict_intake *in, const rule *r)
{
    if (r->at_step != RULE_ANY_STEP) {
        out[0] = r->at_step;
        return 1;
    }
    if (r->kind == RULE_COUNT && r->step == STEP_EACH) {
        memcpy(out, in->probed, (size_t)in->n_probed * sizeof *out);
        return in->n_probed;
    }
    out[0] = r->step == STEP_LAST ? in->last : in->first;
    out[1] = in->last;
    bool both = r->step == STEP_EACH || r->kind == RULE_CHANGE;
    if (both) out[0] = in->first;
    return both && in->last != in->first ? 2 : 1;
}

static bool want_rule(verdict_intake *in, const rule *r)
{
    int steps[SPEC_STEPS_MAX], n = steps_of(steps, in, r);
    bool ok = true;
    for (int i = 0; i < n && ok; i++) {
        ok = want(in, r->metric, r->site, steps[i], r->kind == RULE_WEIGHTS) &&
             want(in, r->aside, r->site, steps[i], false) &&
             want(in, r->by, r->site, steps[i], false);
    }
    return ok;
}

/* Biases on the logits (alibi, the kernels of the skipless placements) make attention sharp on
 * purpose. */
static bool has_free_logits(const run_spec *spec)
{
    static const char *const biased[] = {"alibi", "e_spa", "u_spa", "value_skipinit"};
    const registry *const *all = engine_for(spec->precision)->registries;
    for (; *all; all++) {
        bool positions = strcmp((*all)->kind, "positions") == 0,
             placements = strcmp((*all)->kind, "placements") == 0;
        int row = positions ? spec->model.position : spec->strategy.placement;
        if ((!positions && !placements) || row < 0 || row >= (*all)->n) continue;
        for (size_t i = 0; i < sizeof biased / sizeof *biased; i++)
            if (strcmp((*all)->rows[row]->name, biased[i]) == 0) return false;
    }
    return true;
}

/* Metrics of headroom are named for their format: fp16_headroom_bits, grad_fp16_frac_flush. */
static bool asks_about(const run_spec *spec, format f)
{
    const spec_rounding *r = &spec->rounding;
    const char *name = format_registry.rows[f]->name;
    if (r->activations == (int)f || r->gradients == (int)f || r->weights == (int)f) return true;
    for (int m = 0; m < METRIC_COUNT; m++) {
        const char *of = metric_registry.rows[m]->name;
        if (strncmp(of, "grad_", 5) == 0) of += 5;
        size_t n = strlen(name);
        bool is_default = metric_registry.rows[m]->is_default;
        if (spec->measure.metrics[m] && !is_default && strncmp(of, name, n) == 0 && of[n] == '_')
            return true;
    }
    return false;
}

bool verdict_intake_init(verdict_intake *in, const rules *r, const run_spec *spec)
{
    const spec_measure *m = &spec->measure;
    *in = (verdict_intake){.rules = r,
                           .depth = spec->depth,
                           .seq_len = spec->data.seq_len,
                           .free_logits = has_free_logits(spec)};
    in->n_probed = m->n_steps;
    memcpy(in->probed, m->steps, sizeof in->probed);
    if (m->n_steps > 0) in->first = m->steps[0], in->last = m->steps[m->n_steps - 1];
    for (int f = FORMAT_none + 1; f < FORMAT_COUNT; f++)
        in->formats |= (unsigned)asks_about(spec, (format)f) << f;
    memcpy(in->measured_metrics, m->metrics, sizeof m->metrics);
    memcpy(in->measured_sites, m->sites, sizeof m->sites);
    int steps[SPEC_STEPS_MAX];
    size_t n = 1;
    for (int i = 0; i < r->n; i++) n += 3 * (size_t)steps_of(steps, in, r->at[i]);
    in->series = calloc(n, sizeof *in->series);
    bool ok = in->series != NULL;
    for (int i = 0; i < r->n && ok; i++) ok = want_rule(in, r->at[i]);
    if (!ok) verdict_intake_deinit(in);
    return ok;
}

void verdict_intake_deinit(verdict_intake *in)
{
    for (int i = 0; in->series && i < in->n; i++) free(in->series[i].v);
    free(in->series);
    in->series = NULL;
    in->n = 0;
}

static bool is_weight(const char *name)
{
    static const char end[] = "weight";
    size_t n = name ? strlen(name) : 0;
    return n >= sizeof end - 1 && strcmp(name + n - (sizeof end - 1), end) == 0;
}

static void take(verdict_series *s, const measurement *m, int depth)
{
    if (s->metric != (int)m->metric || s->step != m->step) return;
    if (s->site != RULE_ANY_SITE && s->site != (int)m->site) return;
    if (m->layer < -1 || m->layer > depth + 1) return;
    if (s->site == SITE_param && !is_weight(m->param)) return;
    s->seen = true;
    double *at = &s->v[m->layer + 1];
    bool undefined = m->reason != REASON_NONE && isfinite(m->value);
    if (undefined || isnan(m->value)) return;
    if (s->weights)
        *at = isnan(*at) || m->value > *at ? m->value : *at;
    else if (s->site == RULE_ANY_SITE)
        *at = isnan(*at) ? m->value : *at + m->value;
    else
        *at = m->value;
}

void verdict_intake_measure(verdict_intake *in, const measurement *m, size_t n)
{
    for (size_t k = 0; k < n; k++) {
        if (!in->wanted[m[k].metric] || m[k].item) continue;
        for (int i = 0; i < in->n; i++) take(&in->series[i], &m[k], in->depth);
    }
}

/* --- one rule --------------------------------------------------------------------------------- */

static verdict_finding not_judged(verdict_why why)
{
    return (verdict_finding){.why = why,
                             .value = (double)NAN,
                             .factor = (double)NAN,
                             .aside = (double)NAN,
                             .confidence = (double)NAN,
                             .layer = VERDICT_NO_LAYER,
                             .worst = VERDICT_NO_LAYER,
                             .site = -1};
}

/* How far beyond: a larger number is worse. */
static double badness(const rule *r, double value)
{
    double m = rule_margin(r, value);
    return isnan(m) ? (double)INFINITY : -m;
}

/* What a rule looks at, at one step. */
typedef struct view {
    const verdict_intake *in;
    const rule *rule;
    const verdict_series *of, *by, *aside; /* the last two may be NULL */
} view;

static double at(const verdict_series *s, int layer)
{
    return s->v[layer + 1];
}

/* Of the gradient's mean over tokens, beside the gradient itself: |1'G|^2 = |G|^2 (1 + (T-1) r). */
static double mean_share(const view *w, int layer)
{
    double t = w->in->seq_len - 1;
    if (!w->aside) return 1;
    double here = 1 + t * at(w->aside, layer), top = 1 + t * at(w->aside, w->in->depth);
    return here > top && top > 0 ? sqrt(here / top) : 1;
}

/* The value at one layer; NaN: none. */
static double value_at(const view *w, int layer)
{
    double v = at(w->of, layer);
    if (w->by) v *= at(w->by, layer) / at(w->by, w->in->depth);
    switch (w->rule->kind) {
    case RULE_GROWTH:
        return layer > 1 ? v / at(w->of, 1) : (double)NAN;
    case RULE_SHARE:
        return v != 0 ? v : (double)NAN;
    case RULE_GRADIENT:
        return v * mean_share(w, layer);
    default:
        return v;
    }
}

/* Blocks; for what is counted or updated also what is before and behind them. */
static void layers_of(const verdict_intake *in, const rule *r, int *from, int *to)
{
    bool all = r->kind == RULE_COUNT || r->kind == RULE_WEIGHTS || r->own;
    *from = all ? 0 : 1;
    *to = in->depth + (all ? 1 : 0);
    if (r->at_layer != RULE_ANY_LAYER) *from = *to = r->at_layer;
    if (r->kind == RULE_SCALAR) *from = *to = -1;
}

static double per_block(const verdict_intake *in, const rule *r, double value, int layer)
{
    int blocks = r->kind == RULE_GROWTH ? layer - 1 : in->depth - layer;
    bool grows = r->kind == RULE_GROWTH || r->kind == RULE_GRADIENT ||
                 (r->backward && r->kind == RULE_LAYERS && r->log);
    return grows && blocks > 0 ? pow(value, 1.0 / blocks) : (double)NAN;
}

static verdict_finding judge_layers(const view *w)
{
    const rule *r = w->rule;
    verdict_finding f = not_judged(VERDICT_NO_NUMBER);
    int from, to;
    layers_of(w->in, r, &from, &to);
    for (int i = from; i <= to; i++) {
        int layer = r->backward ? from + to - i : i;
        double value = value_at(w, layer);
        if (isnan(value)) continue;
        verdict_level level = rule_level(r, value);
        if (level > LEVEL_PASS && level > f.level) f.layer = layer;
        if (level > f.level) f.level = level;
        if (f.worst != VERDICT_NO_LAYER && badness(r, value) <= badness(r, f.value)) continue;
        f.value = value;
        f.worst = layer;
        f.factor = per_block(w->in, r, value, layer);
    }
    if (w->aside && f.worst > VERDICT_NO_LAYER) f.aside = at(w->aside, f.worst);
    bool zero = r->kind == RULE_SHARE && !f.level && at(w->of, from) == 0;
    f.why = f.level ? VERDICT_JUDGED : zero ? VERDICT_ZERO_BRANCH : VERDICT_NO_NUMBER;
    return f;
}

/* What is beyond somewhere and comes back later is not lost. */
static verdict_finding judge_lasting(const view *w)
{
    verdict_finding f = not_judged(VERDICT_NO_NUMBER);
    int depth = w->in->depth;
    double value = value_at(w, depth);
    if (isnan(value)) return f;
    f.why = VERDICT_JUDGED;
    f.value = value;
    f.worst = depth;
    f.level = rule_level(w->rule, value);
    for (int l = depth; l > 0 && f.level > LEVEL_PASS; l--) {
        if (!(rule_level(w->rule, value_at(w, l)) >= f.level)) break;
        f.layer = l;
    }
    return f;
}

static verdict_finding judge_found(const rule *r, const verdict_series *s)
{
    verdict_finding f = not_judged(VERDICT_JUDGED);
    f.level = LEVEL_PASS;
    if (isnan(s->v[0])) return f;
    f.value = s->v[0];
    f.level = rule_level(r, f.value);
    f.layer = f.worst = (int)f.value;
    return f;
}

static verdict_finding
judge_change(const rule *r, const verdict_series *first, const verdict_series *last)
{
    if (!first || !last || first == last) return not_judged(VERDICT_UNTRAINED);
    verdict_finding f = not_judged(VERDICT_JUDGED);
    f.value = last->v[0] / first->v[0];
    if (isnan(f.value)) return not_judged(VERDICT_NO_NUMBER);
    f.level = rule_level(r, f.value);
    return f;
}

/* The gradient of the loss itself may be the same for all tokens: then the network is not to blame.
 */
static bool loss_is_beyond(const verdict_intake *in, const rule *r, const verdict_series *s)
{
    return r == &rule_table[RULE_gradient_tokens_ROW] && s->v[in->depth + 1] > r->warn.max;
}

/* Another metric at the same place; NULL: none, or not measured. */
static const verdict_series *
beside(const verdict_intake *in, const char *name, const rule *r, int step)
{
    const verdict_series *s = name ? find_series(in, row_of(name), r->site, step, false) : NULL;
    return s && s->seen ? s : NULL;
}

static verdict_finding judge_at(const verdict_intake *in, const rule *r, int step)
{
    int row = row_of(r->metric);
    const verdict_series *s = find_series(in, row, r->site, step, r->kind == RULE_WEIGHTS);
    if (row < 0) return not_judged(VERDICT_UNKNOWN);
    if (!s || !s->seen) {
        bool asked =
            in->measured_metrics[row] && (r->site == RULE_ANY_SITE || in->measured_sites[r->site]);
        return not_judged(asked ? VERDICT_ABSENT : VERDICT_UNMEASURED);
    }
    view w = {in, r, s, beside(in, r->by, r, step), beside(in, r->aside, r, step)};
    if (r->by && !w.by) return not_judged(VERDICT_UNMEASURED);
    if (r->kind == RULE_FOUND) return judge_found(r, s);
    if (r->kind == RULE_CHANGE)
        return judge_change(r, find_series(in, row, r->site, in->first, false), s);
    if (loss_is_beyond(in, r, s)) return not_judged(VERDICT_LOSS_GRADIENT);
    return r->kind == RULE_LASTING && r->at_layer == RULE_ANY_LAYER ? judge_lasting(&w)
                                                                    : judge_layers(&w);
}

static verdict_finding judge_diverged(const rule *r, const run_summary *summary)
{
    verdict_finding f = not_judged(VERDICT_JUDGED);
    f.value = summary->diverged + summary->diverged_backward;
    f.level = rule_level(r, f.value);
    if (!summary->diverged) return f;
    f.step = summary->diverged_step;
    if (summary->diverged_layer >= 0) {
        f.layer = f.worst = summary->diverged_layer;
        f.site = (int)summary->diverged_site;
    }
    return f;
}

static bool is_worse(const rule *r, const verdict_finding *a, const verdict_finding *b)
{
    if (a->level != b->level) return a->level > b->level;
    return a->level != LEVEL_NONE && !isnan(a->value) &&
           (isnan(b->value) || badness(r, a->value) > badness(r, b->value));
}

static verdict_why lacks(const verdict_intake *in, rule_need need)
{
    switch (need) {
    case NEED_FREE_LOGITS:
        return in->free_logits ? VERDICT_JUDGED : VERDICT_BIASED;
    case NEED_START:
        if (in->given_weights) return VERDICT_GIVEN_WEIGHTS;
        return in->first == 0 ? VERDICT_JUDGED : VERDICT_NO_START;
    case NEED_UPDATES:
        return in->last >= RULE_UPDATES_MIN ? VERDICT_JUDGED : VERDICT_UPDATES;
    default:
        return VERDICT_JUDGED;
    }
}

static verdict_finding judge(const verdict_intake *in, const rule *r, const run_summary *summary)
{
    if (r->kind == RULE_DIVERGED) return judge_diverged(r, summary);
    verdict_why lack = lacks(in, r->need);
    if (!lack && r->of_format && !(in->formats >> r->of_format & 1)) lack = VERDICT_NO_FORMAT;
    if (lack) return not_judged(lack);
    int steps[SPEC_STEPS_MAX], n = steps_of(steps, in, r);
    if (r->kind == RULE_CHANGE) steps[0] = in->last, n = 1;
    verdict_finding worst = not_judged(VERDICT_JUDGED);
    for (int i = 0; i < n; i++) {
        verdict_finding f = judge_at(in, r, steps[i]);
        f.step = steps[i];
        if (i == 0 || is_worse(r, &f, &worst)) worst = f;
        if (r->kind == RULE_COUNT && worst.level == LEVEL_FAIL) break;
    }
    return worst;
}

verdict_level
verdict_judge(verdict_finding *out, const verdict_intake *in, const run_summary *summary)
{
    verdict_level level = LEVEL_PASS;
    for (int i = 0; i < in->rules->n; i++) {
        out[i] = judge(in, in->rules->at[i], summary);
        if (out[i].level > level) level = out[i].level;
    }
    return level;
}

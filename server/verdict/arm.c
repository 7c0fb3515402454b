/* Findings of runs in, those of arms out: means over seeds, confidence, ranks. */
#include "server/verdict/verdict.h"

#include <math.h>
#include <string.h>

double verdict_student(double t, int freedom)
{
    double theta = atan(t / sqrt(freedom)), c = cos(theta), term, sum, area;
    if (isinf(t)) return 1;
    if (freedom % 2) {
        term = sum = freedom > 1 ? c : 0;
        for (int k = 3; k < freedom - 1; k += 2) term *= c * c * (k - 1) / k, sum += term;
        area = 2 / M_PI * (theta + sin(theta) * sum);
    } else {
        term = sum = 1;
        for (int k = 2; k < freedom - 1; k += 2) term *= c * c * (k - 1) / k, sum += term;
        area = sin(theta) * sum;
    }
    return 0.5 * (1 + area);
}

/* --- one rule over seeds ---------------------------------------------------------------------- */

typedef struct spread {
    int n;
    double mean, error; /* of the mean, in the rule's scale */
} spread;

static double scaled(const rule *r, double value)
{
    return r->log ? log(value) : value;
}

static spread spread_of(const rule *r, const verdict_finding *const *of, int n)
{
    spread s = {.n = n};
    double square = 0;
    for (int i = 0; i < n; i++) s.mean += scaled(r, of[i]->value) / n;
    for (int i = 0; i < n; i++) {
        double d = scaled(r, of[i]->value) - s.mean;
        square += d * d;
    }
    s.error = n > 1 ? sqrt(square / (n - 1) / n) : (double)NAN;
    return s;
}

/* Probability that the true mean is beyond bound, seen from the measured one. */
static double doubt(const rule *r, const spread *s, double bound)
{
    if (!isfinite(bound)) return 0;
    double distance = fabs(s->mean - scaled(r, bound));
    if (!isfinite(distance)) return 0;
    /* Rounding of the mean is no spread. */
    if (s->error <= 1e-12 * fabs(s->mean)) return distance > 0 ? 0 : 0.5;
    return 1 - verdict_student(distance / s->error, s->n - 1);
}

static double confidence(const rule *r, const spread *s, verdict_level level)
{
    if (s->n < 2) return (double)NAN;
    if (level == LEVEL_FAIL) return 1 - fmax(doubt(r, s, r->fail.min), doubt(r, s, r->fail.max));
    double by_warn = doubt(r, s, r->warn.min) + doubt(r, s, r->warn.max);
    if (level == LEVEL_PASS && (isfinite(r->warn.min) || isfinite(r->warn.max)))
        return fmax(0, 1 - by_warn);
    double by_fail = doubt(r, s, r->fail.min) + doubt(r, s, r->fail.max);
    return fmax(0, 1 - by_fail - (level == LEVEL_WARN ? by_warn : 0));
}

static int median(int *v, int n)
{
    for (int i = 1; i < n; i++)
        for (int k = i; k > 0 && v[k - 1] > v[k]; k--) {
            int swap = v[k];
            v[k] = v[k - 1];
            v[k - 1] = swap;
        }
    return v[(n - 1) / 2];
}

/* The median layer of the seeds at this level or worse. */
static int layer_of(const verdict_finding *const *of, int n, verdict_level level, bool of_value)
{
    int layers[VERDICT_SEEDS], count = 0;
    for (int i = 0; i < n; i++) {
        int layer = of_value ? of[i]->worst : of[i]->layer;
        if (of[i]->level >= level && layer != VERDICT_NO_LAYER) layers[count++] = layer;
    }
    return count ? median(layers, count) : VERDICT_NO_LAYER;
}

static const verdict_finding *worst_of(const rule *r, const verdict_finding *const *of, int n)
{
    const verdict_finding *w = of[0];
    for (int i = 1; i < n; i++) {
        bool further = !(rule_margin(r, of[i]->value) >= rule_margin(r, w->value));
        if (of[i]->level > w->level || (of[i]->level == w->level && further)) w = of[i];
    }
    return w;
}

/* Values that have no mean: the worst seed speaks. */
static verdict_finding by_worst(const rule *r, const verdict_finding *const *of, int n)
{
    verdict_finding out = *worst_of(r, of, n);
    int agree = 0;
    for (int i = 0; i < n; i++) agree += of[i]->level == out.level;
    out.confidence = n > 1 ? (double)agree / n : (double)NAN;
    return out;
}

static verdict_finding by_mean(const rule *r, const verdict_finding *const *of, int n)
{
    spread s = spread_of(r, of, n);
    verdict_finding out = *worst_of(r, of, n);
    out.value = n == 1 ? of[0]->value : r->log ? exp(s.mean) : s.mean;
    out.level = rule_level(r, out.value);
    out.confidence = confidence(r, &s, out.level);
    out.layer = out.level > LEVEL_PASS ? layer_of(of, n, out.level, false) : VERDICT_NO_LAYER;
    out.worst = layer_of(of, n, LEVEL_PASS, true);
    double factor = 0, aside = 0;
    for (int i = 0; i < n; i++) factor += log(of[i]->factor) / n, aside += of[i]->aside / n;
    out.factor = exp(factor);
    out.aside = aside;
    return out;
}

static bool has_mean(const rule *r, const verdict_finding *const *of, int n)
{
    for (int i = 0; i < n; i++)
        if (!isfinite(scaled(r, of[i]->value))) return false;
    return r->kind != RULE_FOUND && r->kind != RULE_DIVERGED && r->kind != RULE_COUNT;
}

static verdict_finding over_seeds(const rules *r, int i, const verdict_finding *runs, int n_runs)
{
    const verdict_finding *of[VERDICT_SEEDS];
    int n = 0;
    for (int k = 0; k < n_runs && n < VERDICT_SEEDS; k++) {
        const verdict_finding *f = &runs[(size_t)k * (size_t)r->n + (size_t)i];
        if (f->level) of[n++] = f;
    }
    if (n == 0) return runs[i];
    return has_mean(r->at[i], of, n) ? by_mean(r->at[i], of, n) : by_worst(r->at[i], of, n);
}

/* --- the arm ---------------------------------------------------------------------------------- */

static double arm_confidence(verdict_level level, const verdict_finding *f, int n)
{
    double surest = 0, doubts = 0;
    for (int i = 0; i < n; i++) {
        if (!f[i].level) continue;
        if (f[i].level == level) surest = fmax(surest, f[i].confidence);
        doubts += 1 - f[i].confidence;
    }
    return level == LEVEL_PASS ? fmax(0, 1 - doubts) : surest;
}

static double arm_margin(const rules *r, const verdict_finding *f)
{
    double least = VERDICT_MARGIN;
    for (int i = 0; i < r->n; i++) {
        if (!f[i].level || isnan(f[i].value)) continue;
        if (!r->at[i]->ranks && f[i].level == LEVEL_PASS) continue;
        double m = rule_margin(r->at[i], f[i].value);
        if (m < least) least = m;
    }
    return least;
}

void verdict_arm_judge(
    verdict_arm *arm, verdict_finding *out, const rules *r, const verdict_finding *runs, int n_runs)
{
    *arm = (verdict_arm){.confidence = (double)NAN, .margin = (double)NAN, .seeds = n_runs};
    if (n_runs == 0) return;
    arm->by_rules = LEVEL_PASS;
    for (int i = 0; i < r->n; i++) {
        out[i] = over_seeds(r, i, runs, n_runs);
        if (out[i].level > arm->by_rules) arm->by_rules = out[i].level;
    }
    arm->level = n_runs == 1 && arm->by_rules < LEVEL_WARN ? LEVEL_WARN : arm->by_rules;
    if (n_runs > 1) arm->confidence = arm_confidence(arm->by_rules, out, r->n);
    arm->margin = arm_margin(r, out);
}

/* --- the job ---------------------------------------------------------------------------------- */

static bool is_before(const verdict_arm *a, const verdict_arm *b)
{
    if (a->by_rules != b->by_rules) return a->by_rules < b->by_rules;
    if (a->depth != b->depth) return a->depth > b->depth;
    return a->margin > b->margin;
}

void verdict_rank(verdict_arm *arms, int n)
{
    for (int i = 0; i < n; i++) {
        arms[i].rank = 0;
        for (int k = 0; k < n && arms[i].level; k++)
            if (arms[k].level)
                arms[i].rank +=
                    is_before(&arms[k], &arms[i]) || (!is_before(&arms[i], &arms[k]) && k <= i);
    }
}

verdict_level verdict_of_arms(const verdict_arm *arms, int n)
{
    verdict_level level = LEVEL_NONE;
    for (int i = 0; i < n; i++)
        if (arms[i].level > level) level = arms[i].level;
    return level;
}

#include "server/verdict/rule.h"

#include "core/base/format.h"

#include <math.h>
#include <string.h>

/* clang-format off */
/* The words of rule.def. */
#define NEVER (double)INFINITY
#define ABSENT_ONLY (-2.0) /* below every layer: any that is found is beyond */
#define AT_MOST(w, f) .warn = {-INFINITY, (w) < (f) ? (w) : (f)}, .fail = {-INFINITY, f}
#define AT_LEAST(w, f) .warn = {w, INFINITY}, .fail = {isinf(f) ? -INFINITY : (f), INFINITY}

const rule rule_table[RULE_ROWS] = {
#define RULE(name_, summary_, source_, ...) \
    {.entry = {.name = #name_, .summary = summary_, .source = source_}, .at_layer = RULE_ANY_LAYER, .at_step = RULE_ANY_STEP, __VA_ARGS__},
#include "server/verdict/rule.def"
#undef RULE
};

static const entry *const rows[] = {
#define RULE(name_, summary_, source_, ...) &rule_table[RULE_##name_##_ROW].entry,
#include "server/verdict/rule.def"
#undef RULE
};
/* clang-format on */

const registry rule_registry = {"rules", "how a run is judged: pass, warn or fail", rows,
                                RULE_ROWS};

static bool inside(const rule_bounds *b, double value)
{
    return value >= b->min && value <= b->max;
}

verdict_level rule_level(const rule *r, double value)
{
    if (!inside(&r->fail, value)) return LEVEL_FAIL;
    return inside(&r->warn, value) ? LEVEL_PASS : LEVEL_WARN;
}

static bool has_bound(const rule_bounds *b)
{
    return isfinite(b->min) || isfinite(b->max);
}

/* Of two bounds the one that is crossed, else the nearer. */
static double bound(const rule_bounds *b, double value, bool *at_most)
{
    bool low = isfinite(b->min), high = isfinite(b->max);
    *at_most =
        high && (!low || value > b->max || (value >= b->min && b->max - value < value - b->min));
    return *at_most ? b->max : low ? b->min : (double)NAN;
}

double rule_threshold(const rule *r, verdict_level level, double value, bool *at_most)
{
    bool by_fail = level == LEVEL_FAIL || !has_bound(&r->warn);
    return bound(by_fail ? &r->fail : &r->warn, value, at_most);
}

const char *rule_comparison(const rule *r)
{
    if (r->kind == RULE_FOUND) return "none found";
    return isfinite(r->fail.max) || isfinite(r->warn.max) ? "at most" : "at least";
}

static double finite_bound(const rule_bounds *b)
{
    return isfinite(b->max) ? b->max : isfinite(b->min) ? b->min : (double)NAN;
}

double rule_warns(const rule *r)
{
    return r->kind == RULE_FOUND ? (double)NAN : finite_bound(&r->warn);
}

double rule_fails(const rule *r)
{
    return finite_bound(&r->fail);
}

static double in_scale(const rule *r, double value)
{
    return r->log ? log(value) : value;
}

double rule_margin(const rule *r, double value)
{
    bool at_most, unused;
    double w = in_scale(r, rule_threshold(r, LEVEL_PASS, value, &at_most)),
           f = in_scale(r, rule_threshold(r, LEVEL_FAIL, value, &unused)), v = in_scale(r, value),
           gap = fabs(f - w);
    return (at_most ? w - v : v - w) / (gap > 0 && isfinite(gap) ? gap : 1);
}

static const char *const names[] = {NULL, "pass", "warn", "fail"};

const char *verdict_level_name(verdict_level level)
{
    return names[level];
}

verdict_level verdict_level_find(const char *name, size_t n)
{
    for (int i = LEVEL_PASS; i <= LEVEL_FAIL; i++)
        if (strlen(names[i]) == n && memcmp(names[i], name, n) == 0) return (verdict_level)i;
    return LEVEL_NONE;
}

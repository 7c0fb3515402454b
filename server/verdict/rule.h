/* The rules by which a run is judged (server/verdict/rule.def), as a registry: what is looked at, where,
 * from which value on it is a warning or a failure, and why.
 *
 * A rule that names a metric which a job does not measure, or which this build does not know, is
 * not judged: it never passes silently. A job may bring rules of its own ("expect"); they have the
 * same form and are judged in the same way.
 */
#ifndef SERVER_VERDICT_RULE_H
#define SERVER_VERDICT_RULE_H

#include "core/spec.h"

#include "core/base/catalog.h"
#include "core/base/registry.h"

#include <stddef.h>

/* Changes with every change of a rule or of how rules are judged; kept with each verdict. */
enum { RULES_VERSION = 4 };

enum { RULE_EXPECT_MAX = 64, RULE_ANY_LAYER = -2, RULE_ANY_STEP = -1 };
#define RULE_ANY_SITE SITE_COUNT

typedef enum verdict_level { LEVEL_NONE, LEVEL_PASS, LEVEL_WARN, LEVEL_FAIL } verdict_level;

/* What the value of a rule is. v_l: the metric at the site in layer l. */
typedef enum rule_kind {
    RULE_LAYERS,   /* v_l, the worst */
    RULE_LASTING,  /* v_L; the first layer beyond is that from which all are */
    RULE_GROWTH,   /* v_l / v_1 over blocks */
    RULE_GRADIENT, /* max(v_l, v_l sqrt((1 + (T-1) r_l)/(1 + (T-1) r_L))), r the aside: the second
                      is the relative norm of the gradient's mean over tokens */
    RULE_SHARE,    /* v_l; exactly 0 does not count */
    RULE_FOUND,    /* a scalar that is a layer; undefined: there is none, which is good */
    RULE_CHANGE,   /* a scalar at the last probed step / at the first */
    RULE_WEIGHTS,  /* largest over the weight matrices of a layer */
    RULE_COUNT,    /* sum over all sites of a layer */
    RULE_SCALAR,   /* a scalar of the run */
    RULE_DIVERGED  /* how the run ended; the value is 0, 1 (a value of the forward pass), 2 (a
                      gradient) */
} rule_kind;

typedef enum rule_step { STEP_FIRST, STEP_LAST, STEP_EACH } rule_step; /* of the probed ones */

/* What a network must be for the rule to mean anything. */
typedef enum rule_need {
    NEED_NOTHING,
    NEED_FREE_LOGITS,
    NEED_START,  /* drawn weights, before the first update */
    NEED_UPDATES /* at least RULE_UPDATES_MIN before the step that is judged */
} rule_need;
enum { RULE_UPDATES_MIN = 4 };

typedef struct rule_bounds {
    double min, max; /* both allowed */
} rule_bounds;

typedef struct rule {
    entry entry; /* source: where the thresholds come from */
    rule_kind kind;
    const char *metric; /* by name: it may be one of another build */
    int site;
    const char *by; /* v_l is multiplied by this metric there / that in the last block; or NULL */
    const char *aside; /* another metric at the same place, which the sentence tells; NULL: none */
    rule_step step;
    int at_layer, at_step; /* expectations: RULE_ANY_LAYER, RULE_ANY_STEP */
    bool backward;         /* the first layer beyond is counted from the output */
    bool log;              /* seeds are averaged, and margins measured, in logarithms */
    bool ranks;            /* its margin counts when arms are ranked */
    const char *echoes;    /* a rule that says the same: no sentence names both; NULL: none */
    bool own;              /* an expectation of the job: every layer counts */
    rule_need need;
    int of_format; /* enum format: judged where the job rounds to it or measures its headroom;
                      none: always */
    rule_bounds warn, fail;
    /* Sentences for a failure, a warning (NULL: as a failure) and a pass. {value}, {layer} the
     * first beyond, {worst} that of the value, {at} "in block {worst}", {aside}, {factor} the
     * value's per block, {where} the first beyond with its site. */
    const char *bad, *near, *good;
    const char *further; /* a pass right behind that of the rule before; NULL: as good */
} rule;

enum {
#define RULE(name, ...) RULE_##name##_ROW,
#include "server/verdict/rule.def"
#undef RULE
    RULE_ROWS
};
enum { RULES_MAX = RULE_ROWS + RULE_EXPECT_MAX };

extern const rule rule_table[RULE_ROWS];
extern const registry rule_registry; /* kind "rules" */

/* The rules of a job: the table's, then its own. */
typedef struct rules {
    const rule *at[RULES_MAX];
    int n;
} rules;

verdict_level rule_level(const rule *r, double value); /* of a number; NaN: LEVEL_FAIL */
/* The bound of `level` that value is beyond or nearest to; *at_most: which side. NaN: there is none
 * on either side. For LEVEL_PASS that of the warning, where there is one. */
double rule_threshold(const rule *r, verdict_level level, double value, bool *at_most);
/* "at most", "at least", "none found"; the last value that is still good, and the last that is no
 * failure; NaN: there is none. */
const char *rule_comparison(const rule *r);
double rule_warns(const rule *r), rule_fails(const rule *r);
/* Where value lies: 0 at the warning, -1 at the failure, larger is better. */
double rule_margin(const rule *r, double value);

const char *verdict_level_name(verdict_level level);          /* NULL, "pass", "warn", "fail" */
verdict_level verdict_level_find(const char *name, size_t n); /* LEVEL_NONE when it is no name */

#endif

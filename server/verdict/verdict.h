/* Verdicts: what the rules make of the measurements of a run, of the runs of an arm, of the arms of
 * a job. Plain arithmetic: no JSON, no SQL.
 *
 * A run: each rule gives pass, warn, fail or "not judged" (with a reason), the value furthest
 * beyond, and the first layer whose own value has that level. The run is as its worst rule.
 *
 * An arm: the runs of one combination, one per seed. The value of a rule is the mean over seeds, in
 * logarithms where the rule says so; the level is that of the mean; the layer is the median of
 * those of the seeds that have one. Its confidence is the probability, by Student's t with n - 1
 * degrees of freedom, that the true mean lies on the measured side of the nearest threshold:
 *
 *     F_{n-1}( |mean - threshold| / (s / sqrt(n)) ),  s^2 with n - 1
 *
 * for a warning both thresholds count: 1 - the sum of the two doubts. No spread gives 1, one seed
 * none (NaN). Where a value is not finite, or is a layer, the share of seeds that agree. The arm's
 * confidence is, when it fails, that of its surest failing rule, when it is warned, of its surest
 * warning; when it passes, 1 less the sum of the doubts about all rules (Bonferroni), at least 0.
 * An arm of one seed is never better than a warning.
 *
 * The job is as its worst arm. Arms are ranked by level, then by depth, the deeper first, then by
 * the smallest margin over the rules that rank and those that do not hold (rule_margin, at most
 * VERDICT_MARGIN), then by their order in the job. How large the stream grows ranks nothing: at the
 * start Peri-LN's grows more than Pre-LN's, and that says nothing about training. */
#ifndef SERVER_VERDICT_VERDICT_H
#define SERVER_VERDICT_VERDICT_H

#include "core/engine.h"
#include "server/verdict/rule.h"

enum { VERDICT_MARGIN = 3, VERDICT_NO_LAYER = -2, VERDICT_SEEDS = 64 };

/* Why a rule was not judged. */
typedef enum verdict_why {
    VERDICT_JUDGED,
    VERDICT_NO_NUMBER,
    VERDICT_UNTRAINED,
    VERDICT_UNKNOWN,
    VERDICT_ABSENT,
    VERDICT_UNMEASURED,
    VERDICT_LOSS_GRADIENT,
    VERDICT_BIASED,
    VERDICT_UPDATES,
    VERDICT_NO_START,
    VERDICT_GIVEN_WEIGHTS,
    VERDICT_ZERO_BRANCH,
    VERDICT_NO_FORMAT,
    VERDICT_WHYS
} verdict_why;

const char *verdict_why_text(verdict_why why); /* NULL for VERDICT_JUDGED */
verdict_why verdict_why_find(const char *text);

typedef struct verdict_finding {
    verdict_level level; /* LEVEL_NONE: not judged */
    verdict_why why;     /* then the reason */
    double value;
    double factor; /* per block, where the rule is about growth; else NaN */
    double aside;  /* NaN: there is none */
    int step;
    int layer;         /* first beyond; VERDICT_NO_LAYER: none */
    int worst;         /* that of value; VERDICT_NO_LAYER: none */
    int site;          /* of diverged, whose value is 1 in the forward and 2 in the backward pass;
                          else -1 */
    double confidence; /* arms; NaN with one seed */
} verdict_finding;

typedef struct verdict_series verdict_series;

/* Takes the measurements of one run. */
typedef struct verdict_intake {
    const rules *rules;
    int depth, seq_len;
    int probed[SPEC_STEPS_MAX], n_probed, first, last; /* steps; first and last of them */
    bool free_logits;
    unsigned formats;   /* bit f: the job asks about enum format f, by rounding or by headroom */
    bool given_weights; /* not drawn from the init; the caller's, after verdict_intake_init */
    bool measured_metrics[METRIC_COUNT], measured_sites[SITE_COUNT];
    verdict_series *series;
    int n;
    bool wanted[METRIC_COUNT];
} verdict_intake;

/* own: the job's expectations, n_own of them; borrowed. */
void verdict_rules(rules *out, const rule *own, int n_own);

/* false: out of memory. The rules are borrowed. */
bool verdict_intake_init(verdict_intake *in, const rules *r, const run_spec *spec);
void verdict_intake_measure(verdict_intake *in, const measurement *m, size_t n);
/* out: one finding for each rule. Returns the level of the run. */
verdict_level
verdict_judge(verdict_finding *out, const verdict_intake *in, const run_summary *summary);
void verdict_intake_deinit(verdict_intake *in);

typedef struct verdict_arm {
    verdict_level level;    /* with the rule about one seed */
    verdict_level by_rules; /* without it */
    double confidence;      /* NaN: one seed, or no run */
    double margin;
    int seeds; /* runs that were judged */
    int depth; /* for the ranks; the caller's */
    int rank;  /* from 1; 0: not judged */
} verdict_arm;

/* runs: n_runs lists of r->n findings, one after the other. Fills out of r->n and the arm, but for
 * its rank. n_runs 0: not judged. */
void verdict_arm_judge(verdict_arm *arm,
                       verdict_finding *out,
                       const rules *r,
                       const verdict_finding *runs,
                       int n_runs);
void verdict_rank(verdict_arm *arms, int n);
verdict_level verdict_of_arms(const verdict_arm *arms, int n);

/* Student's distribution function for t >= 0 and 1..RULES_MAX degrees of freedom; Abramowitz &
 * Stegun 26.7.3 and 26.7.4. */
double verdict_student(double t, int freedom);

#endif

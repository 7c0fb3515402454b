/* Ranking the arms of a job by metrics of the initial network, seeds together.
 *
 * A term is a metric with a weight. Its value in a run is that of the run as a whole (layer -1) at
 * step 0, or where it has none the mean over the blocks at site resid_out (token_corr). Over the
 * seeds of an arm: mean and sample standard deviation.
 *
 *   Borda   (no weights given) arms ranked by each term, 1 is the best, equal means share the mean
 *           of their ranks, undefined ones come last; the score is the mean rank, less is better.
 *           The terms: hidden_cov_per_row, softmax_confidence_per_tensor, synflow_log10 (the more
 *           the better), token_corr over the blocks and param_count (the less the better).
 *   RoBoT   (weights given, each within [-1, 1]) means scaled to [0, 1] over the arms, undefined
 *           ones are 0, as is a term that is equal in all arms; the score is the weighted sum, more
 *           is better. arXiv:2403.07591; the weights are the caller's, nothing is fitted here.
 *
 * Every other metric of the group proxy that was measured stands beside the terms: means, and ranks
 * by the direction of its registry row (none: no rank), which do not count in the score. Where no
 * term was measured there is no score, and the arms stand in the order of the job.
 *
 * For each of them: Kendall's tau of its means with the final losses of the arms, where the job has
 * trained, and for the terms the soft tau of ParZC, mean over pairs of tanh(dp/4) tanh(dy/4) of
 * standardised values (alpha 1/2). Of the losses minus is taken, and of a metric of which less is
 * better (of a term with a negative weight) too, so 1 says that it ranks as training does. Both are
 * undefined for fewer than two arms with values.
 *
 * Plain memory; one thread.
 */
#ifndef SERVER_VERDICT_RANKING_H
#define SERVER_VERDICT_RANKING_H

#include "core/engine.h"
#include "server/text/json_out.h"

#include <stdio.h>

enum { RANKING_TERMS = 16 /* with weights */, RANKING_SEEDS = 3 /* fewer are said */ };

typedef struct ranking_term {
    metric metric;
    double weight; /* Borda: 1 or -1; beside the terms: by its direction, 0 where it has none */
    bool measured; /* some run has a value */
    double tau, soft_tau; /* NaN: undefined */
} ranking_term;

typedef struct ranking_value {
    double mean, std; /* NaN: undefined; std of one is NaN */
    int n;
    double rank, scaled; /* NaN: none; scaled is of the terms of RoBoT, which have no rank */
    reason why;          /* why a seed has no value */
} ranking_value;

typedef struct ranking_arm {
    char *arm; /* JSON object; heap */
    int runs;
    double parameters, flops; /* of a run */
    double score, rank;       /* NaN: no term was measured */
    double loss;              /* mean of the final losses; NaN: none */
} ranking_arm;

typedef struct ranking ranking;

/* weights NULL or "": Borda. Else "metric:weight,metric:weight"; ERR_UNKNOWN_NAME, ERR_RANGE or
 * ERR_TYPE with what is wrong. */
err_code ranking_new(ranking **out, const char *weights, error *err);
void ranking_free(ranking *r);

bool ranking_uses(const ranking *r, int m); /* is this metric a term, or beside them? */

/* The next run, and what was measured in it; values of steps after the first are passed over. */
err_code ranking_run(ranking *r, const char *arm, double parameters, double flops, error *err);
void ranking_measure(
    ranking *r, int step, int layer, site where, metric m, double value, reason why);
void ranking_loss(ranking *r, double final_loss); /* of this run */

/* After the last run. ERR_MEMORY. */
err_code ranking_end(ranking *r, error *err);
bool ranking_any(const ranking *r); /* is any term measured? */

/* Members of an object: method, terms, others, arms (best first), few_seeds, note. */
void ranking_json(const ranking *r, json_out *o);
/* A line for each arm, best first, three columns for each metric; the first line names them. */
void ranking_csv(const ranking *r, json_out *o);
void ranking_print(const ranking *r, FILE *to); /* a table */

#endif

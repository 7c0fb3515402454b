/* The rows of predictions: what a walk knows, as metrics of sites with their tolerances. Rows are
 * kept until WALK_ROWS of them are there, or tell_flush. Only what the spec measures is told. */
#ifndef CORE_THEORY_TELL_H
#define CORE_THEORY_TELL_H

#include "core/theory/walk.h"

void tell_flush(walk *w);
bool tell_told(const walk *w, int layer); /* does the sink want rows of this layer? */
bool tell_wanted(const walk *w, site where, metric m);
/* The general rule of ln of a number: the floor, and 4 standard deviations of one run. */
double tell_log_tolerance(double variance);

/* One row; why 0: that of the number. */
void tell(
    walk *w, int layer, site where, metric m, double number, double tolerance, law l, reason why);
/* In place of the rows of a metric. */
void tell_reason(walk *w, metric m, law l, reason why);

/* Forward. mu NULL: the mean is 0; log_var, corr: variances of ln q and of a correlation. */
double tell_mean_tolerance(const walk *w, double mean_sq, double q); /* on ln of a variance */
void tell_kernel(
    walk *w, int layer, site where, const double *k, const double *mu, double log_var, double corr);
void tell_stream(walk *w, int layer, site where, const stream *x);
void tell_sublayer(walk *w, int layer, const sublayer *s, const trace *tr);
void tell_weights(walk *w, int layer); /* matrices of the block, before any pass */

/* Backward. */
void tell_gradient(walk *w, int layer, site where, const double *grad);
void tell_matrices(walk *w, int layer, const sublayer *s, const matrix_grads *of);

/* Over all blocks; off: tolerance of ln of the last of the series. */
void tell_growth(walk *w, metric slope, metric shape, double *series, double off);
void tell_angle(walk *w);

law tell_law(metric m);                 /* the first that speaks of a metric, or LAW_COUNT */
void tell_uncovered(walk *w);           /* a row for each metric that no law speaks of */
void tell_missing(walk *w, reason why); /* a row for each metric that a law speaks of */
/* Of single tokens, and of attention that is no softmax of Gaussian logits. */
void tell_special(walk *w);

#endif

/* The coordinate check over the arms of a job: does what training changes keep its size when the
 * network grows along an axis (d_model, depth)?
 *
 * Each site is looked at where networks of different depth can be compared: the embedding, the
 * first, middle and last block (1, ceil(L/2), L; fewer of them where the shallowest network has
 * less than three blocks), the head. For each metric of the group coordinate and each probed step
 * there is a row: the mean over seeds at each value of the axis, and the slope of the least squares
 * line of log2 of it against log2 of the axis. spread is the standard deviation of the slopes of
 * the single seeds.
 *
 * Judged are the rows of delta_mean_abs after at least one update, never the start: before the
 * first update the standard parametrization passes and mup's logits do not. |slope| <= 0.1 passes;
 * attention and vocabulary logits (and probabilities) may fall faster, since the part of them that
 * is there at the start does: they fail above only. Along depth so do branches after their scale
 * and the first block, which a factor of depth on the branches makes smaller on purpose. A value
 * that is not finite fails. An arm is as its worst row, the whole as its worst arm.
 *
 * The threshold is ours; the procedure is that of Tensor Programs V, arXiv:2203.03466, D.1.
 */
#ifndef SERVER_VERDICT_COORDINATES_H
#define SERVER_VERDICT_COORDINATES_H

#include "core/engine.h"
#include "server/text/json_out.h"

#include <stdio.h>

#define COORDINATES_SLOPE 0.1

enum { COORDINATES_AXIS = 48 }; /* bytes that hold the path of any field */

typedef struct coordinate_run {
    char *rest;   /* the arm without the axis: canonical JSON text; heap */
    double along; /* value of the axis; NaN: it has none */
    uint64_t seed;
    int depth;
} coordinate_run;

typedef struct coordinate_point {
    int run, step, layer;
    site site;
    metric metric;
    double value;
} coordinate_point;

typedef struct coordinates {
    char axis[COORDINATES_AXIS]; /* "": none found */
    coordinate_run *runs;
    int n_runs, max_runs;
    coordinate_point *points;
    size_t n_points, max_points;
    bool failed; /* out of memory */
} coordinates;

/* axis: a swept field with numbers; NULL or "auto": model.d_model or depth where one is swept, else
 * the first that has numbers. ERR_RANGE names what there is when the axis is not swept. arm: swept
 * values of a run, from which the axis is chosen. */
err_code coordinates_init(coordinates *c, const char *axis, const char *arm, error *err);
/* What follows belongs to this run. */
void coordinates_run(coordinates *c, const char *arm, uint64_t seed, int depth);
/* Of the group coordinate; others are passed over, and so is resid_in, the resid_out before. */
void coordinates_add(coordinates *c, int step, int layer, site s, metric m, double v, reason why);

typedef enum coordinates_verdict {
    COORDINATES_NONE, /* nothing was judged */
    COORDINATES_PASS,
    COORDINATES_FAIL
} coordinates_verdict;

/* The members of schema/coordinates.json from "axis" on, into an open object; table, unless NULL,
 * gets the judged rows of each arm at its last step as text. ended: else the verdict is null. */
coordinates_verdict coordinates_write(json_out *o, FILE *table, coordinates *c, bool ended);
void coordinates_deinit(coordinates *c);

#endif

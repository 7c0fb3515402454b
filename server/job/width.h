/* model.width_scale: a narrower network that predicts the model's.
 *
 * Heads keep their width. The number of key-value heads is scaled and rounded, to at least one;
 * that of heads becomes the multiple of it that is nearest to its share; d_model keeps its share of
 * d_k n_heads (rounded to an even number where that is no whole one), d_ff its share of d_model
 * (rounded). The scale that comes out is n_heads over the model's n_heads.
 *
 * What theory says of the infinitely wide network depends on fan_in std^2, not on the width: where
 * the scheme has one std for many matrices it grows by the root of the width that is lost, and so
 * does a head_std that is given. The tables keep their std, and so the stream its first variance.
 * vocab is no width: the loss at the start is ln V, and stays.
 */
#ifndef SERVER_JOB_WIDTH_H
#define SERVER_JOB_WIDTH_H

#include "server/job/field.h"
#include "server/text/json_out.h"

typedef struct width_change {
    double scale; /* that was asked for; 0: nothing was scaled */
    spec_model from, to;
    spec_init init_from, init_to;
} width_change;

/* Scales *s, a spec with its given fields and fixed defaults, and marks in given what is now fixed.
 * whole: the same with its rules applied. Does nothing to numbers that do not fit together, which
 * the engine will refuse. */
void width_scale(
    run_spec *s, bool given[FIELD_COUNT], width_change *out, const run_spec *whole, double scale);

/* Is it one of the fields that scaling sets? */
bool width_sets(field_id id);

/* The sentence about it, as a JSON string. */
void width_note(json_out *o, const width_change *w);

#endif

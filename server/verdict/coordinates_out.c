/* The coordinate check as JSON, and as a table. */
#include "server/verdict/coordinates_private.h"

#include <math.h>

static const char *const place_names[PLACES] = {"embedding", "first", "middle", "last", "head"};

static const char *verdict_name(coordinates_verdict v)
{
    return v == COORDINATES_NONE ? NULL : v == COORDINATES_PASS ? "pass" : "fail";
}

static void write_row(json_out *o, const coordinate_arm *a, const coordinate_row *r)
{
    json_begin_object(o);
    json_string_member(o, "site", site_registry.rows[r->like->site]->name);
    json_string_member(o, "at", place_names[r->at]);
    json_string_member(o, "metric", metric_registry.rows[r->like->metric]->name);
    json_integer_member(o, "step", r->like->step);
    json_array_member(o, "values");
    for (int i = 0; i < a->n; i++) json_double_member(o, NULL, a->means[i]);
    json_end(o);
    json_double_member(o, "slope", r->slope);
    json_double_member(o, "spread", r->spread);
    json_string_member(o, "judged", !r->judged ? NULL : r->above_only ? "above" : "both");
    json_string_member(o, "verdict", verdict_name(r->verdict));
    json_end(o);
}

static void print_row(FILE *to, const coordinate_row *r)
{
    fprintf(to, "%-5s %-13s %-9s %4d  %6.2f  ", r->verdict == COORDINATES_FAIL ? "fail" : "pass",
            site_registry.rows[r->like->site]->name, place_names[r->at], r->like->step, r->slope);
    if (isnan(r->spread))
        fprintf(to, "     -\n");
    else
        fprintf(to, "%6.2f\n", r->spread);
}

static void sentence_of(char *out, size_t size, const coordinate_arm *a)
{
    const coordinate_row *w = &a->worst;
    const char *name = a->any_worst ? site_registry.rows[w->like->site]->name : "";
    int step = a->any_worst ? w->like->step : 0;
    if (!a->judged)
        snprintf(out, size,
                 "nothing to judge: it needs delta_mean_abs after an update at two values of %s",
                 a->c->axis);
    else if (!a->any_worst)
        snprintf(out, size, "no change grows with %s", a->c->axis);
    else if (w->not_finite)
        snprintf(out, size, "the change of %s (%s) is not finite after %d update%s", name,
                 place_names[w->at], step, step == 1 ? "" : "s");
    else
        snprintf(out, size,
                 "the change of %s (%s) goes as %s^%.2f after %d update%s; %d of %d rows are "
                 "beyond %g",
                 name, place_names[w->at], a->c->axis, w->slope, step, step == 1 ? "" : "s",
                 a->failed, a->judged, COORDINATES_SLOPE);
}

static void write_arm(json_out *o, coordinate_arm *a)
{
    coordinate_row row;
    json_raw_member(o, "arm", a->rest);
    json_integer_member(o, "seeds", a->n_seeds);
    json_array_member(o, "values");
    for (int i = 0; i < a->n; i++) json_double(o, a->along[i]);
    json_end(o);
    json_array_member(o, "rows");
    while (coordinate_arm_next(a, &row)) {
        coordinate_arm_count(a, &row);
        write_row(o, a, &row);
    }
    json_end(o);
}

/* The judged rows of the last step. */
static void print_arm(FILE *to, coordinate_arm *a, coordinates_verdict v, const char *sentence)
{
    coordinate_row row;
    fprintf(to, "%s %s: %s\n", v ? verdict_name(v) : "-", a->rest, sentence);
    if (a->judged) fprintf(to, "      %-13s %-9s step   slope  spread\n", "site", "at");
    while (coordinate_arm_next(a, &row))
        if (row.judged && row.like->step == a->last_step) print_row(to, &row);
}

static coordinates_verdict
tell_arm(json_out *o, FILE *table, coordinates *c, const char *rest, bool ended)
{
    coordinate_arm a;
    char sentence[256];
    coordinates_verdict v = COORDINATES_NONE;
    if (coordinate_arm_init(&a, c, rest)) {
        json_begin_object(o);
        write_arm(o, &a);
        if (a.judged && ended) v = a.failed ? COORDINATES_FAIL : COORDINATES_PASS;
        sentence_of(sentence, sizeof sentence, &a);
        json_string_member(o, "verdict", verdict_name(v));
        json_string_member(o, "sentence", sentence);
        json_end(o);
        if (table) print_arm(table, &a, v, sentence);
    } else {
        c->failed = true;
    }
    coordinate_arm_deinit(&a);
    return v;
}

coordinates_verdict coordinates_write(json_out *o, FILE *table, coordinates *c, bool ended)
{
    coordinates_verdict whole = COORDINATES_NONE;
    coordinates_sort(c);
    json_string_member(o, "axis", c->axis);
    json_string_member(o, "judged_by", "delta_mean_abs");
    json_number_member(o, "threshold", COORDINATES_SLOPE);
    json_array_member(o, "arms");
    for (int i = 0; i < c->n_runs && !c->failed; i++) {
        if (!coordinates_is_first(c, i)) continue;
        coordinates_verdict v = tell_arm(o, table, c, c->runs[i].rest, ended);
        if (v > whole) whole = v;
    }
    json_end(o);
    json_string_member(o, "verdict", verdict_name(whole));
    if (c->failed) o->failed = true;
    return whole;
}

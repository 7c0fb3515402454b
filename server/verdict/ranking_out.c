/* A ranking as JSON, and as a table. */
#include "server/verdict/ranking_private.h"

#include <math.h>

static const char *name_of(const ranking_term *t)
{
    return metric_registry.rows[t->metric]->name;
}

static void write_term(json_out *o, const ranking_term *t)
{
    json_begin_object(o);
    json_string_member(o, "metric", name_of(t));
    json_number_member(o, "weight", t->weight);
    json_bool_member(o, "measured", t->measured);
    json_double_member(o, "tau", t->tau);
    json_double_member(o, "soft_tau", t->soft_tau);
    json_end(o);
}

static void write_other(json_out *o, const ranking_term *t)
{
    json_begin_object(o);
    json_string_member(o, "metric", name_of(t));
    json_string_member(o, "direction", metric_registry.rows[t->metric]->direction);
    json_double_member(o, "tau", t->tau);
    json_end(o);
}

static bool is_scaled(const ranking *r, int column)
{
    return r->weighted && column < r->n_terms;
}

static const ranking_value *value_at(const ranking *r, int arm, int column)
{
    return &r->values[arm * r->n_columns + column];
}

static void write_value(json_out *o, const ranking *r, int arm, int column)
{
    const ranking_value *v = value_at(r, arm, column);
    bool scaled = is_scaled(r, column);
    json_begin_object(o);
    json_string_member(o, "metric", name_of(&r->columns[column]));
    json_double_member(o, "mean", v->mean);
    json_double_member(o, "std", v->std);
    json_integer_member(o, "seeds", v->n);
    json_double_member(o, scaled ? "scaled" : "rank", scaled ? v->scaled : v->rank);
    json_string_member(o, "reason", v->why ? reason_name(v->why) : NULL);
    json_end(o);
}

static void write_arm(json_out *o, const ranking *r, int a)
{
    const ranking_arm *arm = &r->arms[a];
    json_begin_object(o);
    json_raw_member(o, "arm", arm->arm);
    json_double_member(o, "rank", arm->rank);
    json_double_member(o, "score", arm->score);
    json_integer_member(o, "runs", arm->runs);
    json_double_member(o, "parameters", arm->parameters);
    json_double_member(o, "flops", arm->flops);
    json_double_member(o, "final_loss", arm->loss);
    json_array_member(o, "values");
    for (int i = 0; i < r->n_columns; i++)
        if (r->columns[i].measured) write_value(o, r, a, i);
    json_end(o);
    json_end(o);
}

/* Are there columns at all? */
static bool has_columns(const ranking *r)
{
    for (int i = 0; i < r->n_columns; i++)
        if (r->columns[i].measured) return true;
    return false;
}

static const char *note(const ranking *r)
{
    if (!ranking_any(r) && has_columns(r))
        return "none of the terms of the ranking was measured, so the arms are in no order";
    if (!ranking_any(r))
        return "no term was measured: the job needs measure.metrics with the group proxy, and step "
               "0 among measure.steps";
    if (r->n_arms && r->fewest < RANKING_SEEDS)
        return "an arm has fewer than 3 seeds: differences between arms may be chance";
    return NULL;
}

void ranking_json(const ranking *r, json_out *o)
{
    json_string_member(o, "method", r->weighted ? "robot" : "borda");
    json_bool_member(o, "few_seeds", r->n_arms && r->fewest < RANKING_SEEDS);
    json_string_member(o, "note", note(r));
    json_array_member(o, "terms");
    for (int i = 0; i < r->n_terms; i++) write_term(o, &r->columns[i]);
    json_end(o);
    json_array_member(o, "others");
    for (int i = r->n_terms; i < r->n_columns; i++)
        if (r->columns[i].measured) write_other(o, &r->columns[i]);
    json_end(o);
    json_array_member(o, "arms");
    for (int i = 0; i < r->n_arms && has_columns(r); i++) write_arm(o, r, r->order[i]);
    json_end(o);
}

static void csv_number(json_out *o, double value)
{
    json_text(o, ",");
    json_csv_number(o, value, isnan(value) ? REASON_ABSENT : REASON_NONE);
}

void ranking_csv(const ranking *r, json_out *o)
{
    json_text(o, "arm,rank,score,runs,parameters,flops,final_loss");
    for (int i = 0; i < r->n_columns; i++) {
        const char *name = name_of(&r->columns[i]);
        char heads[256];
        snprintf(heads, sizeof heads, ",%s,%s_std,%s_%s", name, name, name,
                 is_scaled(r, i) ? "scaled" : "rank");
        if (r->columns[i].measured) json_text(o, heads);
    }
    json_text(o, "\r\n");
    for (int k = 0; k < r->n_arms && has_columns(r); k++) {
        const ranking_arm *arm = &r->arms[r->order[k]];
        const double facts[] = {arm->rank,       arm->score, arm->runs,
                                arm->parameters, arm->flops, arm->loss};
        json_csv_string(o, arm->arm);
        for (size_t i = 0; i < sizeof facts / sizeof *facts; i++) csv_number(o, facts[i]);
        for (int i = 0; i < r->n_columns; i++) {
            const ranking_value *v = value_at(r, r->order[k], i);
            if (!r->columns[i].measured) continue;
            csv_number(o, v->mean);
            csv_number(o, v->std);
            csv_number(o, is_scaled(r, i) ? v->scaled : v->rank);
        }
        json_text(o, "\r\n");
    }
}

static void print_arm(const ranking *r, int a, FILE *to)
{
    const ranking_arm *arm = &r->arms[a];
    fprintf(to, "%4g  %8.3f", arm->rank, arm->score);
    for (int i = 0; i < r->n_terms; i++) {
        const ranking_value *v = value_at(r, a, i);
        char text[48] = "-";
        if (!r->columns[i].measured) continue;
        if (v->n > 1)
            snprintf(text, sizeof text, "%.5g +- %.2g", v->mean, v->std);
        else if (v->n == 1)
            snprintf(text, sizeof text, "%.5g", v->mean);
        fprintf(to, "  %22s", text);
    }
    fprintf(to, "  %s\n", arm->arm);
}

void ranking_print(const ranking *r, FILE *to)
{
    const char *said = note(r);
    if (ranking_any(r)) {
        fprintf(to, "rank  %8s", r->weighted ? "score" : "mean");
        for (int i = 0; i < r->n_terms; i++)
            if (r->columns[i].measured) fprintf(to, "  %22.22s", name_of(&r->columns[i]));
        fputs("  arm\n", to);
        for (int i = 0; i < r->n_arms; i++) print_arm(r, r->order[i], to);
    }
    if (said) fprintf(to, "%s\n", said);
}

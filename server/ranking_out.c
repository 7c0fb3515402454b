/* A ranking as JSON, and as a table. */
#include "server/ranking_private.h"

#include <math.h>

static const char *name_of(const ranking_term *t)
{
    return metric_registry.rows[t->metric]->name;
}

static void write_term(json_out *o, const ranking_term *t)
{
    json_begin_object(o);
    json_key(o, "metric");
    json_string(o, name_of(t));
    json_key(o, "weight");
    json_double(o, t->weight);
    json_key(o, "measured");
    json_bool(o, t->measured);
    json_double_member(o, "tau", t->tau);
    json_double_member(o, "soft_tau", t->soft_tau);
    json_end(o);
}

static void
write_value(json_out *o, const ranking *r, const ranking_value *v, const ranking_term *t)
{
    json_begin_object(o);
    json_key(o, "metric");
    json_string(o, name_of(t));
    json_double_member(o, "mean", v->mean);
    json_double_member(o, "std", v->std);
    json_key(o, "seeds");
    json_integer(o, v->n);
    json_key(o, r->weighted ? "scaled" : "rank");
    json_double(o, r->weighted ? v->scaled : v->rank);
    json_end(o);
}

static void write_arm(json_out *o, const ranking *r, int a)
{
    const ranking_arm *arm = &r->arms[a];
    json_begin_object(o);
    json_key(o, "arm");
    json_raw(o, arm->arm);
    json_key(o, "rank");
    json_double(o, arm->rank);
    json_double_member(o, "score", arm->score);
    json_key(o, "runs");
    json_integer(o, arm->runs);
    json_double_member(o, "final_loss", arm->loss);
    json_key(o, "values");
    json_begin_array(o);
    for (int i = 0; i < r->n_terms; i++)
        if (r->terms[i].measured)
            write_value(o, r, &r->values[a * RANKING_TERMS + i], &r->terms[i]);
    json_end(o);
    json_end(o);
}

static const char *note(const ranking *r)
{
    if (!ranking_any(r))
        return "no term was measured: the job needs measure.metrics with the group proxy, and step "
               "0 among measure.steps";
    if (r->n_arms && r->fewest < RANKING_SEEDS)
        return "an arm has fewer than 3 seeds: differences between arms may be chance";
    return NULL;
}

void ranking_json(const ranking *r, json_out *o)
{
    json_key(o, "method");
    json_string(o, r->weighted ? "robot" : "borda");
    json_key(o, "few_seeds");
    json_bool(o, r->n_arms && r->fewest < RANKING_SEEDS);
    json_key(o, "note");
    json_string(o, note(r));
    json_key(o, "terms");
    json_begin_array(o);
    for (int i = 0; i < r->n_terms; i++) write_term(o, &r->terms[i]);
    json_end(o);
    json_key(o, "arms");
    json_begin_array(o);
    for (int i = 0; i < r->n_arms && ranking_any(r); i++) write_arm(o, r, r->order[i]);
    json_end(o);
}

static void print_arm(const ranking *r, int a, FILE *to)
{
    const ranking_arm *arm = &r->arms[a];
    fprintf(to, "%4g  %8.3f", arm->rank, arm->score);
    for (int i = 0; i < r->n_terms; i++) {
        const ranking_value *v = &r->values[a * RANKING_TERMS + i];
        char text[48] = "-";
        if (!r->terms[i].measured) continue;
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
            if (r->terms[i].measured) fprintf(to, "  %22.22s", name_of(&r->terms[i]));
        fputs("  arm\n", to);
        for (int i = 0; i < r->n_arms; i++) print_arm(r, r->order[i], to);
    }
    if (said) fprintf(to, "%s\n", said);
}

/* A study as JSON (schema/verdict.json) and as a table. */
#include "server/verdict/study.h"

#include <cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

static void integer_or_null(json_out *o, const char *key, int value, bool there)
{
    json_key(o, key);
    if (there)
        json_integer(o, value);
    else
        json_null(o);
}

/* --- rules ------------------------------------------------------------------------------------ */

static void write_rule(json_out *o, const rule *r, const verdict_finding *f)
{
    bool at_most;
    verdict_level by = f->level ? f->level : LEVEL_PASS;
    double threshold = rule_threshold(r, by, f->value, &at_most);
    json_out says = {0};
    study_says(&says, r, f);
    json_begin_object(o);
    json_string_member(o, "rule", r->entry.name);
    json_string_member(o, "verdict", verdict_level_name(f->level));
    json_double_member(o, "value", f->value);
    json_double_member(o, "threshold", r->kind == RULE_FOUND ? (double)NAN : threshold);
    json_string_member(o, "comparison",
                       r->kind == RULE_FOUND ? "none found"
                       : at_most             ? "at most"
                                             : "at least");
    json_string_member(o, "metric", *r->metric ? r->metric : NULL);
    json_string_member(o, "site", r->site < SITE_COUNT ? site_registry.rows[r->site]->name : NULL);
    integer_or_null(o, "step", f->step, f->level != LEVEL_NONE);
    int layer = f->layer != VERDICT_NO_LAYER ? f->layer : f->worst;
    integer_or_null(o, "layer", layer, layer != VERDICT_NO_LAYER);
    json_string_member(o, "says", says.text);
    json_string_member(o, "source", r->entry.source);
    json_end(o);
    o->failed = o->failed || says.failed;
    json_deinit(&says);
}

/* --- arms ------------------------------------------------------------------------------------- */

static void write_arm(json_out *o, const study *s, const study_arm *a)
{
    json_begin_object(o);
    json_raw_member(o, "arm", a->arm);
    integer_or_null(o, "rank", a->of.rank, a->of.rank > 0);
    json_string_member(o, "verdict", verdict_level_name(a->of.level));
    json_string_member(o, "sentence", a->sentence);
    json_double_member(o, "confidence", a->of.confidence);
    json_integer_member(o, "seeds", a->of.seeds);
    json_array_member(o, "rules");
    for (int i = 0; i < s->rules->n && a->of.level; i++)
        write_rule(o, s->rules->at[i], &a->findings[i]);
    json_end(o);
    json_end(o);
}

static const study_arm *ranked(const study *s, int rank)
{
    for (int i = 0; i < s->n; i++)
        if (s->arms[i].of.rank == rank) return &s->arms[i];
    return NULL;
}

static void write_arms(json_out *o, const study *s)
{
    const study_arm *a;
    json_begin_array(o);
    for (int rank = 1; (a = ranked(s, rank)); rank++) write_arm(o, s, a);
    for (int i = 0; i < s->n && !s->finds_depth; i++)
        if (s->arms[i].of.rank == 0) write_arm(o, s, &s->arms[i]);
    json_end(o);
}

/* --- depths ----------------------------------------------------------------------------------- */

static void write_depths(json_out *o, const study *s, int at)
{
    study_depths d = study_depths_of(s, at);
    json_begin_object(o);
    json_raw_member(o, "arm", s->arms[at].others);
    integer_or_null(o, "deepest_pass", d.pass ? d.pass->depth : 0, d.pass);
    integer_or_null(o, "shallowest_fail", d.fail ? d.fail->depth : 0, d.fail);
    json_end(o);
}

/* One row for each combination of the other values. */
static void write_max_depth(json_out *o, const study *s)
{
    json_begin_array(o);
    for (int i = 0; i < s->n; i++)
        if (study_is_first(s, i)) write_depths(o, s, i);
    json_end(o);
}

/* --- the whole -------------------------------------------------------------------------------- */

void study_json(json_out *o, const study *s, const char *differs)
{
    json_string_member(o, "verdict", verdict_level_name(s->level));
    json_string_member(o, "sentence", s->sentence);
    json_integer_member(o, "rules_version", RULES_VERSION);
    json_key(o, "arms");
    write_arms(o, s);
    json_key(o, "max_depth");
    write_max_depth(o, s);
    json_raw_member(o, "differs", differs ? differs : "[]");
}

/* --- the table -------------------------------------------------------------------------------- */

static void print_arm(FILE *to, const study_arm *a)
{
    char sure[16] = "-";
    if (!isnan(a->of.confidence)) snprintf(sure, sizeof sure, "%.2f", a->of.confidence);
    fprintf(to, "%4d  %-4s  %5d  %10s  %s\n", a->of.rank, verdict_level_name(a->of.level),
            a->of.seeds, sure, a->sentence);
}

void study_print(FILE *to, const study *s)
{
    if (!s->level) return;
    fprintf(to, "%4s  %-4s  %5s  %10s  %s\n", "rank", "", "seeds", "confidence", "");
    const study_arm *a;
    for (int rank = 1; (a = ranked(s, rank)); rank++) print_arm(to, a);
    if (s->n > 1) fprintf(to, "%s  %s\n", verdict_level_name(s->level), s->sentence);
}

#include "server/verdict/study.h"

#include <cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

void study_init(study *s, const rules *r, bool finds_depth)
{
    *s = (study){.rules = r, .finds_depth = finds_depth};
}

void study_deinit(study *s)
{
    for (int i = 0; i < s->n; i++) {
        free(s->arms[i].arm);
        free(s->arms[i].others);
        free(s->arms[i].label);
        free(s->arms[i].sentence);
        free(s->arms[i].findings);
    }
    free(s->arms);
    free(s->sentence);
    *s = (study){.rules = s->rules};
}

/* --- labels ----------------------------------------------------------------------------------- */

static bool is_strategy(const char *key)
{
    return strcmp(key, "strategy") == 0 || strcmp(key, "strategy.name") == 0 ||
           strcmp(key, "strategy.placement") == 0;
}

static void label_members(json_out *o, const cJSON *object);

static void label_value(json_out *o, const cJSON *v)
{
    if (cJSON_IsString(v)) {
        json_text(o, v->valuestring);
        return;
    }
    if (cJSON_IsObject(v)) {
        label_members(o, v);
        return;
    }
    char *text = cJSON_PrintUnformatted(v);
    json_text(o, text ? text : "");
    free(text);
}

/* "deepnorm alpha 0 beta 1" */
static void label_members(json_out *o, const cJSON *object)
{
    const cJSON *v;
    int n = 0;
    cJSON_ArrayForEach(v, object)
    {
        json_text(o, n++ ? " " : "");
        if (strcmp(v->string, "name") != 0) {
            json_text(o, v->string);
            json_text(o, " ");
        }
        label_value(o, v);
    }
}

char *study_label(const char *arm, const char *placement, int depth)
{
    json_out o = {0};
    char blocks[32];
    const cJSON *member;
    cJSON *tree = cJSON_Parse(arm);
    const cJSON *strategy = NULL;
    cJSON_ArrayForEach(member, tree) if (is_strategy(member->string)) strategy = member;
    /* Some strategies have no norm and much else: their placement is no name for them. */
    bool named = placement && strcmp(placement, "none") != 0;
    if (strategy)
        label_value(&o, strategy);
    else
        json_text(&o, named ? placement : "the network");
    snprintf(blocks, sizeof blocks, " at %d block%s", depth, depth == 1 ? "" : "s");
    json_text(&o, blocks);
    cJSON_ArrayForEach(member, tree)
    {
        if (member == strategy || strcmp(member->string, "depth") == 0) continue;
        json_text(&o, ", ");
        json_text(&o, member->string);
        json_text(&o, " ");
        label_value(&o, member);
    }
    cJSON_Delete(tree);
    return json_take(&o);
}

/* The swept values but for the depth; heap. */
static char *without_depth(const char *arm)
{
    cJSON *tree = cJSON_Parse(arm);
    cJSON_DeleteItemFromObjectCaseSensitive(tree, "depth");
    char *text = tree ? cJSON_PrintUnformatted(tree) : NULL;
    cJSON_Delete(tree);
    return text;
}

/* --- arms ------------------------------------------------------------------------------------- */

static char *arm_sentence(const study *s, const study_arm *a)
{
    json_out o = {0};
    json_text(&o, a->label);
    json_text(&o, ": ");
    if (!a->of.level) {
        json_text(&o, s->finds_depth ? "not needed" : "no run has ended");
        return json_take(&o);
    }
    study_sentence(&o, s->rules, a->findings, a->of.by_rules);
    if (a->of.seeds == 1 && a->of.by_rules < LEVEL_FAIL)
        json_text(&o, " (one seed: run at least two before you believe it)");
    return json_take(&o);
}

static bool grow(study *s)
{
    if (s->n < s->cap) return true;
    int cap = s->cap ? 2 * s->cap : 16;
    study_arm *grown = realloc(s->arms, (size_t)cap * sizeof *grown);
    if (!grown) return false;
    s->arms = grown;
    s->cap = cap;
    return true;
}

void study_add(study *s,
               const char *arm,
               const char *placement,
               int depth,
               const verdict_finding *runs,
               int n_runs)
{
    if (s->failed || (s->failed = !grow(s))) return;
    study_arm *a = &s->arms[s->n++];
    *a = (study_arm){
        .depth = depth, .arm = strdup(arm), .label = study_label(arm, placement, depth)};
    a->others = without_depth(arm);
    a->findings = calloc((size_t)s->rules->n, sizeof *a->findings);
    s->failed = !a->arm || !a->others || !a->label || !a->findings;
    if (s->failed) return;
    verdict_arm_judge(&a->of, a->findings, s->rules, runs, n_runs);
    a->of.depth = depth;
    a->sentence = arm_sentence(s, a);
    s->failed = !a->sentence;
}

/* --- the whole -------------------------------------------------------------------------------- */

static int count(const study *s, verdict_level level)
{
    int n = 0;
    for (int i = 0; i < s->n; i++) n += s->arms[i].of.level == level;
    return n;
}

static const study_arm *ranked(const study *s, int rank)
{
    for (int i = 0; i < s->n; i++)
        if (s->arms[i].of.rank == rank) return &s->arms[i];
    return NULL;
}

/* --- depths ----------------------------------------------------------------------------------- */

bool study_is_first(const study *s, int at)
{
    for (int i = 0; i < at; i++)
        if (strcmp(s->arms[i].others, s->arms[at].others) == 0) return false;
    return true;
}

study_depths study_depths_of(const study *s, int at)
{
    study_depths d = {NULL, NULL};
    for (int i = at; i < s->n; i++) {
        const study_arm *a = &s->arms[i];
        if (!a->of.level || strcmp(a->others, s->arms[at].others) != 0) continue;
        bool fails = a->of.by_rules == LEVEL_FAIL;
        if (!fails && (!d.pass || a->depth > d.pass->depth)) d.pass = a;
        if (fails && (!d.fail || a->depth < d.fail->depth)) d.fail = a;
    }
    return d;
}

/* "pre_ln", "post_ln, init gpt2": the label without its depth. */
static void say_others(json_out *o, const study_arm *a)
{
    char blocks[32];
    snprintf(blocks, sizeof blocks, " at %d block%s", a->depth, a->depth == 1 ? "" : "s");
    const char *at = strstr(a->label, blocks);
    size_t n = at ? (size_t)(at - a->label) : strlen(a->label);
    json_bytes(o, a->label, n);
    json_text(o, at ? at + strlen(blocks) : "");
}

/* "post_ln holds to 11 blocks, with a warning; post_ln at 12 blocks: tokens become identical …" */
static void say_depths(json_out *o, const study *s, int at)
{
    char text[64];
    study_depths d = study_depths_of(s, at);
    if (!d.pass && !d.fail) return;
    say_others(o, d.pass ? d.pass : d.fail);
    snprintf(text, sizeof text, " holds to %d blocks", d.pass ? d.pass->depth : 0);
    json_text(o, d.pass ? text : " holds at no depth that was tried");
    if (d.pass && d.pass->of.level == LEVEL_WARN) json_text(o, ", with a warning");
    if (!d.fail) json_text(o, ", the deepest that was tried");
    if (!d.fail) return;
    json_text(o, "; ");
    json_text(o, d.fail->sentence);
}

static char *depth_sentence(const study *s)
{
    enum { MOST = 4 };
    json_out o = {0};
    int said = 0;
    for (int i = 0; i < s->n && said < MOST; i++) {
        if (!study_is_first(s, i)) continue;
        json_text(&o, said++ ? ". " : "");
        say_depths(&o, s, i);
    }
    return json_take(&o);
}

/* --- the whole, in one sentence --------------------------------------------------------------- */

static void say_count(json_out *o, int n, const char *one, const char *many)
{
    char text[64];
    snprintf(text, sizeof text, ", %d %s", n, n == 1 ? one : many);
    if (n) json_text(o, text);
}

/* "3 of 5 arms pass, 1 has a warning, 1 fails", "All 5 arms pass", "None of 5 arms passes" */
static void say_counts(json_out *o, const study *s, int judged)
{
    char text[64];
    int pass = count(s, LEVEL_PASS), fail = count(s, LEVEL_FAIL);
    if (pass == judged)
        snprintf(text, sizeof text, "All %d arms pass", judged);
    else if (pass)
        snprintf(text, sizeof text, "%d of %d arms pass%s", pass, judged, pass == 1 ? "es" : "");
    else
        snprintf(text, sizeof text, "None of %d arms passes", judged);
    json_text(o, text);
    say_count(o, count(s, LEVEL_WARN), "has a warning", "have a warning");
    if (fail < judged) say_count(o, fail, "fails", "fail");
}

/* Where all pass, the last is not bad: it may only be the shallowest. */
static char *job_sentence(const study *s)
{
    json_out o = {0};
    int judged = s->n - count(s, LEVEL_NONE);
    const study_arm *last = ranked(s, judged), *first = ranked(s, 1), *said = last;
    if (!last) return NULL;
    if (s->finds_depth) return depth_sentence(s);
    if (judged > 1) {
        say_counts(&o, s, judged);
        if (last->of.level == LEVEL_PASS) {
            json_text(&o, ". Best: ");
            said = first;
        } else {
            json_text(&o, first->of.level < LEVEL_FAIL ? ". Best: " : "");
            json_text(&o, first->of.level < LEVEL_FAIL ? first->label : "");
            json_text(&o, ". Worst: ");
        }
    }
    json_text(&o, said->sentence);
    return json_take(&o);
}

static verdict_level worst_level(const study *s)
{
    verdict_level worst = LEVEL_NONE;
    for (int i = 0; i < s->n; i++)
        if (s->arms[i].of.level > worst) worst = s->arms[i].of.level;
    return worst;
}

/* Where the depth is looked for, that an arm fails is no failure: that none passes is, for any
 * combination of the other values. */
static verdict_level depth_level(const study *s)
{
    verdict_level worst = LEVEL_NONE;
    for (int i = 0; i < s->n; i++) {
        study_depths d = study_depths_of(s, i);
        if (!study_is_first(s, i) || (!d.pass && !d.fail)) continue;
        verdict_level level = d.pass ? d.pass->of.level : LEVEL_FAIL;
        if (level > worst) worst = level;
    }
    return worst;
}

bool study_end(study *s)
{
    verdict_arm *arms = calloc((size_t)s->n + 1, sizeof *arms);
    if (!arms) s->failed = true;
    if (!s->failed) {
        for (int i = 0; i < s->n; i++) arms[i] = s->arms[i].of;
        verdict_rank(arms, s->n);
        for (int i = 0; i < s->n; i++) s->arms[i].of.rank = arms[i].rank;
        s->level = s->finds_depth ? depth_level(s) : worst_level(s);
        s->sentence = job_sentence(s);
        s->failed = s->level && !s->sentence;
    }
    free(arms);
    return !s->failed;
}

#include "server/catalogue/gallery_check.h"

#include <math.h>
#include <string.h>

/* --- arms ------------------------------------------------------------------------------------- */

static bool has_word(const char *json, const char *word, size_t n)
{
    static const char between[] = "{}[]\":, ";
    while (*json) {
        json += strspn(json, between);
        size_t m = strcspn(json, between);
        if (m && m == n && memcmp(json, word, n) == 0) return true;
        json += m;
    }
    return false;
}

bool gallery_check_is_arm(const char *arm_json, const char *words)
{
    for (const char *w = words ? words : ""; *w;) {
        size_t n = strcspn(w, " ");
        if (!has_word(arm_json, w, n)) return false;
        w += n;
        w += strspn(w, " ");
    }
    return true;
}

/* --- means ------------------------------------------------------------------------------------ */

void gallery_check_init(gallery_check *c, const gallery *g, const job *j)
{
    *c = (gallery_check){.gallery = g, .job = j};
    for (int i = 0; i < GALLERY_EXPECTATIONS; i++) c->of[i].arm = c->over[i].arm = -1;
}

static bool is_of(const gallery_value *v, const measurement *m, int depth)
{
    bool same_param = v->param ? m->param && strcmp(v->param, m->param) == 0 : !m->param;
    return v->metric == m->metric && v->site == m->site && v->step == m->step && same_param &&
           gallery_layer(v, depth) == m->layer;
}

/* A second arm with the same words would be another thing: its numbers are left out. */
static void take(gallery_mean *to, const gallery_check *c, int run, const measurement *m)
{
    const char *arm = c->job->runs[run].arm;
    if (to->arm < 0) to->arm = run;
    if (strcmp(c->job->runs[to->arm].arm, arm) != 0) return;
    to->sum += m->reason == REASON_NONE || isinf(m->value) ? m->value : (double)NAN;
    to->n++;
}

static void offer(
    gallery_mean *to, const gallery_check *c, const gallery_value *v, int run, const measurement *m)
{
    const job_run *r = &c->job->runs[run];
    if (is_of(v, m, r->spec.depth) && gallery_check_is_arm(r->arm, v->arm)) take(to, c, run, m);
}

void gallery_check_offer(gallery_check *c, int i, bool over, int run, const measurement *m)
{
    const gallery_expectation *e = &c->gallery->expect[i];
    offer(over ? &c->over[i] : &c->of[i], c, over ? &e->over : &e->of, run, m);
}

void gallery_check_measure(gallery_check *c, int run, const measurement *m, size_t n)
{
    int count = gallery_count(c->gallery);
    for (size_t k = 0; k < n; k++)
        for (int i = 0; i < count; i++) {
            gallery_check_offer(c, i, false, run, &m[k]);
            if (c->gallery->expect[i].is_ratio) gallery_check_offer(c, i, true, run, &m[k]);
        }
}

/* --- the outcome ------------------------------------------------------------------------------ */

static double mean_of(const gallery_mean *m)
{
    return m->n ? m->sum / m->n : (double)NAN;
}

double gallery_check_value(const gallery_check *c, int i)
{
    double value = mean_of(&c->of[i]);
    return c->gallery->expect[i].is_ratio ? value / mean_of(&c->over[i]) : value;
}

bool gallery_check_holds(const gallery_check *c, int i)
{
    const gallery_expectation *e = &c->gallery->expect[i];
    double value = gallery_check_value(c, i);
    return value >= e->min && value <= e->max;
}

int gallery_check_print(const gallery_check *c, FILE *to)
{
    int failed = 0;
    for (int i = 0; i < gallery_count(c->gallery); i++) {
        const gallery_expectation *e = &c->gallery->expect[i];
        bool holds = gallery_check_holds(c, i);
        json_out range = {0};
        gallery_range_text(&range, e);
        fprintf(to, "%-5s  %-11.5g %-18s  %s\n", holds ? "holds" : "FAILS",
                gallery_check_value(c, i), range.text ? range.text : "", e->says);
        json_deinit(&range);
        failed += !holds;
    }
    return failed;
}

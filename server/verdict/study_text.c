/* Sentences about findings. */
#include "server/verdict/study.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Three digits as people write them: 48300 and 4.6e-8, not 4.83e+04 and 4.6e-08. Beyond a threshold
 * 0.9996 is not 1: as many digits as tell it from there. */
static void number(json_out *o, double value, bool exact)
{
    enum { PLAIN = 1000000 };
    char text[JSON_NUMBER];
    int digits = 3;
    if (isnan(value)) {
        json_text(o, "unknown");
        return;
    }
    while (exact && value < 1 && value > 0.99 && digits < 8 && 1 - value < 5 * pow(10, -digits))
        digits++;
    snprintf(text, sizeof text, "%.*g", digits, value);
    double rounded = strtod(text, NULL);
    if (fabs(rounded) >= 1000 && fabs(rounded) < PLAIN)
        snprintf(text, sizeof text, "%.0f", rounded);
    char *power = strpbrk(text, "e");
    if (power) {
        int e = (int)strtol(power + 1, NULL, 10);
        snprintf(power + 1, sizeof text - (size_t)(power + 1 - text), "%d", e);
    }
    json_text(o, text);
}

static void layer_number(json_out *o, int layer)
{
    char text[JSON_NUMBER];
    snprintf(text, sizeof text, "%d", layer);
    json_text(o, layer == VERDICT_NO_LAYER ? "unknown" : text);
}

/* "block 9", "the embedding" */
static void block(json_out *o, int layer)
{
    json_text(o, layer == 0 ? "the embedding" : "block ");
    if (layer != 0) layer_number(o, layer);
}

/* "in block 9 (resid_out)", "in the gradient of block 9 (resid_out)", "in the loss or a gradient"
 */
static void place(json_out *o, const rule *r, const verdict_finding *f)
{
    if (f->layer == VERDICT_NO_LAYER) {
        json_text(o, "in the loss or a gradient");
        return;
    }
    bool backward = r->kind == RULE_DIVERGED && f->value == 2;
    json_text(o, backward ? "in the gradient of " : "in ");
    block(o, f->layer);
    if (f->site < 0) return;
    json_text(o, " (");
    json_text(o, site_registry.rows[f->site]->name);
    json_text(o, ")");
}

/* "at most 0.9" */
static void bound(json_out *o, const rule *r, const verdict_finding *f)
{
    bool at_most;
    double threshold = rule_threshold(r, f->level, f->value, &at_most);
    json_text(o, at_most ? "at most " : "at least ");
    number(o, threshold, true);
}

static void
put_word(json_out *o, const char *word, size_t n, const rule *r, const verdict_finding *f)
{
    static const char *const words[] = {"metric", "site",   "bound", "value", "layer",
                                        "worst",  "factor", "aside", "where", "at"};
    size_t i = 0;
    while (i < sizeof words / sizeof *words &&
           (strlen(words[i]) != n || memcmp(words[i], word, n) != 0))
        i++;
    switch (i) {
    case 0:
        json_text(o, r->metric);
        break;
    case 1:
        json_text(o, site_registry.rows[r->site]->name);
        break;
    case 2:
        bound(o, r, f);
        break;
    case 3:
        number(o, f->value, f->level != LEVEL_PASS);
        break;
    case 4:
        layer_number(o, f->layer == VERDICT_NO_LAYER ? f->worst : f->layer);
        break;
    case 5:
        layer_number(o, f->worst);
        break;
    case 6:
        number(o, f->factor, true);
        break;
    case 7:
        number(o, f->aside, true);
        break;
    case 8:
        place(o, r, f);
        break;
    case 9:
        json_text(o, "in ");
        block(o, f->worst);
        break;
    default:
        break;
    }
}

static const char *template_of(const rule *r, verdict_level level)
{
    if (level == LEVEL_PASS) return r->good;
    return level == LEVEL_WARN && r->near ? r->near : r->bad;
}

static void fill(json_out *o, const char *at, const rule *r, const verdict_finding *f)
{
    while (*at) {
        size_t n = strcspn(at, "{");
        json_bytes(o, at, n);
        at += n;
        if (!*at) break;
        size_t m = strcspn(++at, "}");
        put_word(o, at, m, r, f);
        at += m + (at[m] == '}');
    }
    if (f->step <= 0) return;
    char text[48];
    snprintf(text, sizeof text, " after %d update%s", f->step, f->step == 1 ? "" : "s");
    if (r->kind != RULE_CHANGE) json_text(o, text);
}

void study_says(json_out *o, const rule *r, const verdict_finding *f)
{
    if (f->level) {
        fill(o, template_of(r, f->level), r, f);
        return;
    }
    json_text(o, "not judged: ");
    json_text(o, verdict_why_text(f->why));
}

/* What is well, in the words of the rules that rank; nothing else is worth a word. */
static void say_good(json_out *o, const rules *r, const verdict_finding *f)
{
    int said = 0, judged = 0;
    for (int i = 0; i < r->n; i++) {
        const rule *of = r->at[i];
        judged += f[i].level != LEVEL_NONE;
        if (!of->ranks || f[i].level != LEVEL_PASS) continue;
        bool goes_on = of->further && i > 0 && f[i - 1].level == LEVEL_PASS;
        json_text(o, goes_on ? " " : said ? ", " : "");
        fill(o, goes_on ? of->further : of->good, of, &f[i]);
        said++;
    }
    char text[96];
    if (judged == 1)
        snprintf(text, sizeof text, "the one rule of %d that can be judged holds", r->n);
    else
        snprintf(text, sizeof text, "the %d rules of %d that can be judged hold", judged, r->n);
    if (!said) json_text(o, text);
}

/* Does a rule at the same level say the same? */
static bool is_said(const rules *r, const verdict_finding *f, int i)
{
    for (int k = 0; k < i && r->at[i]->echoes; k++)
        if (strcmp(r->at[k]->entry.name, r->at[i]->echoes) == 0 && f[k].level == f[i].level)
            return true;
    return false;
}

/* At most `most` of those of a level, the job's own or the others. Returns how many were said. */
static int say_bad(json_out *o,
                   const rules *r,
                   const verdict_finding *f,
                   verdict_level level,
                   bool own,
                   int said,
                   int most)
{
    for (int i = 0; i < r->n && said < most; i++) {
        if (r->at[i]->own != own || f[i].level != level || is_said(r, f, i)) continue;
        json_text(o, said++ ? "; " : "");
        study_says(o, r->at[i], &f[i]);
    }
    return said;
}

void study_sentence(json_out *o, const rules *r, const verdict_finding *f, verdict_level by_rules)
{
    enum { MOST = 3 };
    if (by_rules <= LEVEL_PASS) {
        say_good(o, r, f);
        return;
    }
    int said = say_bad(o, r, f, by_rules, true, 0, MOST - 1);
    say_bad(o, r, f, by_rules, false, said, MOST);
}

/* Sentences about findings. */
#include "server/study.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

static void number(json_out *o, double value)
{
    char text[JSON_NUMBER];
    if (isnan(value)) {
        json_text(o, "unknown");
        return;
    }
    /* 0.9996 is not 1: as many digits as tell it from there. */
    int digits = 3;
    while (value < 1 && value > 0.99 && digits < 8 && 1 - value < 5 * pow(10, -digits)) digits++;
    snprintf(text, sizeof text, "%.*g", digits, value);
    json_text(o, text);
}

static void layer_number(json_out *o, int layer)
{
    char text[JSON_NUMBER];
    snprintf(text, sizeof text, "%d", layer);
    json_text(o, layer == VERDICT_NO_LAYER ? "unknown" : text);
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
    json_text(o, backward ? "in the gradient of block " : "in block ");
    layer_number(o, f->layer);
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
    number(o, threshold);
}

static void
put_word(json_out *o, const char *word, size_t n, const rule *r, const verdict_finding *f)
{
    static const char *const words[] = {"metric", "site",   "bound", "value", "layer",
                                        "worst",  "factor", "aside", "where", "threshold"};
    size_t i = 0;
    bool at_most;
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
        number(o, f->value);
        break;
    case 4:
        layer_number(o, f->layer == VERDICT_NO_LAYER ? f->worst : f->layer);
        break;
    case 5:
        layer_number(o, f->worst);
        break;
    case 6:
        number(o, f->factor);
        break;
    case 7:
        number(o, f->aside);
        break;
    case 8:
        place(o, r, f);
        break;
    case 9:
        number(o, rule_threshold(r, f->level, f->value, &at_most));
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

static void fill(json_out *o, const rule *r, const verdict_finding *f)
{
    const char *at = template_of(r, f->level);
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
        fill(o, r, f);
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
        judged += f[i].level != LEVEL_NONE;
        if (!r->at[i]->ranks || f[i].level != LEVEL_PASS) continue;
        bool goes_on = strncmp(r->at[i]->good, "and ", 4) == 0;
        json_text(o, !said++ ? "" : goes_on ? " " : ", ");
        study_says(o, r->at[i], &f[i]);
    }
    char text[64];
    snprintf(text, sizeof text, "%d of %d rules %s", judged, r->n, judged == 1 ? "holds" : "hold");
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

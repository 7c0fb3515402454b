#include "server/catalogue/catalogue.h"

#include "server/catalogue/drawing.h"
#include "server/job/base.h"
#include "server/job/canonical.h"
#include "server/job/choice.h"
#include "server/job/reader.h"
#include "server/job/strategy.h"
#include "server/text/wrap.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* Deep enough that what only the first blocks do, or every few, is seen. */
static const char job_text[] = "{\"strategy\":\"%s\",\"depth\":8,\"seeds\":[0]}";

/* A row, with its network as a job that says nothing else would have it. */
typedef struct subject {
    const strategy *s;
    run_spec spec;
    draft given; /* what the row sets */
    use_set uses;
    drawing drawing;
} subject;

static err_code read_spec(subject *out, error *err)
{
    const limits lim = limits_default();
    char text[sizeof job_text + 64];
    job j;
    snprintf(text, sizeof text, job_text, out->s->entry.name);
    err_code code = reader_job(text, strlen(text), &lim, &j, err);
    if (!code) out->spec = j.runs[0].spec;
    job_deinit(&j);
    return code;
}

static void subject_free(subject *s)
{
    if (s) drawing_deinit(&s->drawing);
    free(s);
}

/* NULL when out of memory; of a refused row only s. */
static subject *subject_new(int row)
{
    error err;
    subject *out = calloc(1, sizeof *out);
    if (!out) return NULL;
    out->s = strategy_table[row];
    if (out->s->refused) return out;
    err_code code = read_spec(out, &err);
    if (!code) code = base_part(&out->given, out->s->job, &err);
    if (!code) code = drawing_make(&out->drawing, &out->spec, &err);
    if (!code) {
        out->uses = engine_f32.uses(&out->spec);
        return out;
    }
    subject_free(out);
    return NULL;
}

/* --- fields ----------------------------------------------------------------------------------- */

/* What a job can tell this strategy: the fields of the group, and those of others that the row
 * sets. */
static bool is_parameter(const subject *s, int id)
{
    const field *f = &field_table[id];
    if (!f->size) return false;
    bool is_own = strcmp(f->group, "strategy") == 0 && (!f->use || s->uses & f->use);
    return is_own || s->given.given[id];
}

static bool is_lacking(const subject *s, int id)
{
    const field *f = &field_table[id];
    return f->use && !(s->uses & f->use) && !s->given.given[id];
}

/* --- as JSON ---------------------------------------------------------------------------------- */

static void path_member(json_out *o, const field *f)
{
    char path[FIELD_PATH];
    field_path(path, f);
    json_string_member(o, "path", path);
}

static bool has_place(const subject *s, const outline_node *before, const outline_node *n)
{
    for (const outline_node *k = s->drawing.all; k < before; k++)
        if (k->place && strcmp(k->place, n->place) == 0) return true;
    return false;
}

/* Where the network has norms, each place once. */
static void write_places(json_out *o, const subject *s)
{
    json_begin_array(o);
    for (int i = 0; i < s->drawing.n_all; i++) {
        const outline_node *n = &s->drawing.all[i];
        if (n->place && !has_place(s, n, n)) json_string(o, n->place);
    }
    json_end(o);
}

static void write_row(json_out *o, const subject *of)
{
    const strategy *s = of->s;
    char link[96];
    snprintf(link, sizeof link, "/api/v1/strategies/%s", s->entry.name);
    json_string_member(o, "name", s->entry.name);
    json_string_member(o, "equation", s->entry.summary);
    json_string_member(o, "source", s->entry.source);
    json_string_member(o, "init", *s->init ? s->init : NULL);
    json_string_member(o, "behaviour", *s->behaviour ? s->behaviour : NULL);
    json_string_member(o, "limits", *s->limits ? s->limits : NULL);
    json_string_member(o, "refused", s->refused);
    json_key(o, "places");
    write_places(o, of);
    json_raw_member(o, "job", s->job);
    json_string_member(o, "href", link);
}

char *catalogue_strategies(void)
{
    json_out o = {0};
    json_begin_object(&o);
    json_array_member(&o, "strategies");
    for (int i = 0; i < strategy_registry.n; i++) {
        subject *s = subject_new(i);
        json_begin_object(&o);
        if (s)
            write_row(&o, s);
        else
            o.failed = true;
        json_end(&o);
        subject_free(s);
    }
    json_end(&o);
    json_end(&o);
    return json_take(&o);
}

static void write_parameters(json_out *o, const subject *s)
{
    json_array_member(o, "parameters");
    for (int i = 0; i < FIELD_COUNT && !s->s->refused; i++) {
        const field *f = &field_table[i];
        char allowed[512];
        if (!is_parameter(s, i)) continue;
        field_allowed(allowed, sizeof allowed, f, 0);
        json_begin_object(o);
        path_member(o, f);
        json_key(o, "value");
        canonical_value(o, f, &s->spec);
        json_bool_member(o, "set", s->given.given[i]);
        json_string_member(o, "allowed", allowed);
        json_string_member(o, "unit", f->unit);
        json_string_member(o, "doc", f->doc);
        json_end(o);
    }
    json_end(o);
    json_array_member(o, "lacks");
    for (int i = 0; i < FIELD_COUNT && !s->s->refused; i++) {
        if (!is_lacking(s, i)) continue;
        json_begin_object(o);
        path_member(o, &field_table[i]);
        json_string_member(o, "needs", field_needs(&field_table[i]));
        json_end(o);
    }
    json_end(o);
}

char *catalogue_strategy(const char *name)
{
    int row = registry_find(&strategy_registry, name);
    subject *s = row < 0 ? NULL : subject_new(row);
    if (!s) return NULL;
    json_out o = {0};
    json_begin_object(&o);
    write_row(&o, s);
    write_parameters(&o, s);
    json_key(&o, "drawing");
    if (s->s->refused)
        json_null(&o);
    else
        drawing_json(&o, &s->drawing);
    json_end(&o);
    subject_free(s);
    return json_take(&o);
}

/* --- for people ------------------------------------------------------------------------------- */

enum { WIDTH = 100, TERM = 12 };

static void paragraph(json_out *o, const char *term, const char *text)
{
    if (!text || !*text) return;
    char head[TERM + 3];
    snprintf(head, sizeof head, "  %-*s", TERM, term);
    json_text(o, head);
    wrap_text(o, text, TERM + 2, WIDTH);
}

/* Long lists of names are in a list of their own. */
static void allowed_text(char *out, size_t size, const field *f)
{
    enum { NAMES = 7 };
    const registry *r = f->choices ? choice_registry(f->choices) : NULL;
    if (r && r->n > NAMES)
        snprintf(out, size, "normscope describe %s", f->choices);
    else
        field_allowed(out, size, f, 0);
}

static void parameter_line(json_out *o, const subject *s, int id)
{
    const field *f = &field_table[id];
    char path[FIELD_PATH], allowed[512], head[FIELD_PATH + 64];
    json_out value = {0};
    field_path(path, f);
    allowed_text(allowed, sizeof allowed, f);
    canonical_value(&value, f, &s->spec);
    snprintf(head, sizeof head, "  %s %-26s %-14.40s ", s->given.given[id] ? "*" : " ", path,
             value.text ? value.text : "");
    json_text(o, head);
    wrap_text(o, allowed, 46, WIDTH);
    json_deinit(&value);
}

static void write_fields(json_out *o, const subject *s)
{
    json_text(o, "\nparameters (* set by the strategy), their values and what is allowed:\n");
    for (int i = 0; i < FIELD_COUNT; i++)
        if (is_parameter(s, i)) parameter_line(o, s, i);
}

char *catalogue_text(int row)
{
    subject *s = subject_new(row);
    if (!s) return NULL;
    json_out o = {0};
    const strategy *t = s->s;
    json_text(&o, t->entry.name);
    json_text(&o, "\n");
    paragraph(&o, "equation", t->entry.summary);
    paragraph(&o, "source", t->entry.source);
    paragraph(&o, "weights", t->init);
    paragraph(&o, "behaviour", t->behaviour);
    paragraph(&o, "limits", t->limits);
    paragraph(&o, "not offered", t->refused);
    if (!t->refused) {
        paragraph(&o, "job", t->job);
        json_text(&o, "\n");
        drawing_text(&o, &s->drawing);
        write_fields(&o, s);
    }
    subject_free(s);
    return json_take(&o);
}

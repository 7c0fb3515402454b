#include "server/job/blame.h"

#include <cJSON.h>
#include <stdio.h>
#include <string.h>

/* The field that "/model/n_heads/…" names, or -1; *rest is what follows it. */
static int pointed_field(const char *pointer, const char **rest)
{
    char first[FIELD_PATH], second[FIELD_PATH];
    int n = 0, m = 0;
    if (sscanf(pointer, "/%47[^/]%n", first, &n) != 1) return -1;
    *rest = pointer + n;
    if (field_group_find(first) < 0) return field_find("", first);
    if (sscanf(*rest, "/%47[^/]%n", second, &m) != 1) return -1;
    *rest += m;
    return field_find(first, second);
}

/* Where the document says what the field of this arm is: not necessarily by its own name. */
static field_id said_by(const reading *r, const sweep_arm *arm, field_id id)
{
    int row = reading_named_row(r, arm, FIELD_strategy_name, -1);
    bool by_strategy = row >= 0 && r->under.strategies[row].given[id];
    if (reading_is_own(r, arm, id)) return id;
    if (by_strategy) return FIELD_strategy_name;
    return r->under.hf && r->under.hf->origin[id] ? FIELD_model_hf_config : id;
}

static void locate_in_config(const hf_config *c, field_id id, error *err)
{
    err->pointer[0] = '\0';
    error_prefix(err, c->origin[id]);
    if (c->inside) error_prefix(err, c->inside);
    error_prefix(err, "hf_config");
    error_prefix(err, "model");
}

/* The pointer to what the document itself says about a field: its sweep, its shorthand, itself. */
static void locate(const reading *r, const sweep_arm *arm, error *err)
{
    char rest[FIELD_PATH];
    const char *tail = "";
    int found = pointed_field(err->pointer, &tail);
    if (found < 0) return;
    field_id id = said_by(r, arm, (field_id)found);
    if (id == FIELD_model_hf_config) {
        locate_in_config(r->under.hf, (field_id)found, err);
        return;
    }
    if ((int)id != found) tail = "";
    const field *f = &field_table[id];
    snprintf(rest, sizeof rest, "%s", tail);
    for (int a = r->sweep.n - 1; a >= 0; a--) {
        const axis *x = &r->sweep.axes[a];
        const axis_value *v = &x->values[arm->value[a]];
        if (!v->given.given[id]) continue;
        if (x->hidden)
            snprintf(err->pointer, sizeof err->pointer, "/find/max_depth");
        else
            snprintf(err->pointer, sizeof err->pointer, "/sweep/%s/%d%s%s%s", x->path,
                     arm->value[a], v->is_object ? "/" : "", v->is_object ? f->name : "", rest);
        return;
    }
    if (!*f->group || !r->base.given[id]) return;
    const cJSON *member;
    cJSON_ArrayForEach(member, r->document)
    {
        if (strcmp(member->string, f->group) == 0 && !cJSON_IsObject(member))
            snprintf(err->pointer, sizeof err->pointer, "/%s%s", f->group, rest);
    }
}

err_code blame(const reading *r, const sweep_arm *arm, error *err)
{
    locate(r, arm, err);
    if (r->n_arms == 1) return err->code;
    json_out text = {0};
    sweep_arm_text(&text, &r->sweep, arm);
    size_t n = strlen(err->message);
    if (!text.failed && n + text.n + 8 < sizeof err->message)
        snprintf(err->message + n, sizeof err->message - n, " (in %s)", text.text);
    json_deinit(&text);
    return err->code;
}

#include "server/command/describe.h"

#include "server/catalogue/catalogue.h"
#include "server/catalogue/gallery.h"
#include "server/catalogue/tables.h"
#include "server/command/hf_print.h"
#include "server/command/job_edit.h"
#include "server/job/choice.h"
#include "server/job/draft.h"
#include "server/job/hf_config.h"
#include "server/job/preset.h"
#include "server/job/strategy.h"
#include "server/text/file_read.h"
#include "server/text/text.h"
#include "server/verdict/rule.h"

#include <cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

/* --- registries of names, so that every kind can be searched alike ---------------------------- */

enum { NAMES = FIELD_COUNT + METRIC_COUNT + 64 }; /* the largest kinds */

typedef struct names {
    registry list;
    entry entries[NAMES];
    const entry *rows[NAMES];
    char texts[NAMES][FIELD_PATH];
} names;

static void add(names *n, const char *name, const char *summary)
{
    int i = n->list.n;
    if (i == NAMES) return;
    snprintf(n->texts[i], FIELD_PATH, "%s", name);
    n->entries[i] = (entry){.name = n->texts[i], .summary = summary};
    n->rows[i] = &n->entries[i];
    n->list.rows = n->rows;
    n->list.n++;
}

/* Kinds that have more to say than a row of a registry. */
static const registry *const special[] = {&strategy_registry, &preset_registry, &gallery_registry};
enum { SPECIAL = sizeof special / sizeof *special };

static const registry *find_registry(const char *kind)
{
    for (int i = 0; i < SPECIAL; i++)
        if (strcmp(kind, special[i]->kind) == 0) return special[i];
    return choice_registry(kind);
}

static void find_kinds(names *n)
{
    const registry *r;
    *n = (names){0};
    add(n, "fields", "everything a job can say, with ranges and defaults");
    for (int i = 0; i < SPECIAL; i++) add(n, special[i]->kind, special[i]->summary);
    for (int i = 0; (r = choice_registry_at(i)); i++)
        if (registry_find(&n->list, r->kind) < 0) add(n, r->kind, r->summary);
}

static void find_rows(names *n, const char *kind)
{
    char path[FIELD_PATH];
    *n = (names){0};
    if (strcmp(kind, "fields") == 0)
        for (int i = 0; i < FIELD_COUNT; i++) {
            field_path(path, &field_table[i]);
            add(n, path, field_table[i].doc);
        }
    else {
        const registry *r = find_registry(kind);
        for (int i = 0; i < r->n; i++) add(n, r->rows[i]->name, r->rows[i]->summary);
    }
}

/* --- JSON ------------------------------------------------------------------------------------- */

static char *kind_json(const char *kind)
{
    const registry *r = find_registry(kind);
    if (!r) return tables_fields();
    if (r == &strategy_registry) return catalogue_strategies();
    if (r == &preset_registry) return tables_presets();
    if (r == &gallery_registry) return gallery_json();
    return tables_registry(kind);
}

static char *row_json(const char *kind, int row)
{
    const registry *r = find_registry(kind);
    json_out o = {0};
    if (r == &strategy_registry) return catalogue_strategy(r->rows[row]->name);
    if (r == &gallery_registry) return gallery_row_json(row);
    if (!r)
        tables_write_field(&o, &field_table[row]);
    else if (r == &preset_registry)
        tables_write_preset(&o, row);
    else
        tables_write_entry(&o, r, row);
    return json_take(&o);
}

static char *all_json(void)
{
    json_out o = {0};
    char *parts[] = {tables_fields(), tables_presets(), tables_registries(), gallery_json()};
    static const char *const keys[] = {"job", "starts", "choices", "gallery"};
    json_begin_object(&o);
    for (int i = 0; i < 4; i++) {
        json_key(&o, keys[i]);
        if (parts[i])
            json_raw(&o, parts[i]);
        else
            o.failed = true;
        free(parts[i]);
    }
    json_end(&o);
    return json_take(&o);
}

/* --- text ------------------------------------------------------------------------------------- */

static void print_rows(const names *n)
{
    int width = 0;
    for (int i = 0; i < n->list.n; i++) {
        int length = (int)strlen(n->rows[i]->name);
        if (length > width && length <= 32) width = length;
    }
    for (int i = 0; i < n->list.n; i++) {
        const char *summary = n->rows[i]->summary;
        printf("  %-*s  %s\n", width, n->rows[i]->name, summary ? summary : "");
    }
}

/* scratch: for what is no text. */
static const char *default_text(json_out *scratch, const field *f)
{
    if (f->rule) return f->rule;
    if (f->text) return *f->text ? f->text : "none";
    json_reset(scratch);
    tables_default(scratch, f);
    return scratch->text ? scratch->text : "";
}

static void print_fields(void)
{
    char path[FIELD_PATH];
    json_out scratch = {0};
    for (int i = 0; i < FIELD_COUNT; i++) {
        const field *f = &field_table[i];
        field_path(path, f);
        printf("  %-26s %s; default: %s\n", path, f->doc, default_text(&scratch, f));
    }
    json_deinit(&scratch);
    printf("\nnormscope describe fields NAME tells what is allowed, and the unit.\n");
}

static void print_field(const field *f)
{
    char allowed[512], path[FIELD_PATH];
    json_out scratch = {0};
    field_path(path, f);
    field_allowed(allowed, sizeof allowed, f, 0);
    printf("%s: %s\n  allowed   %s\n", path, f->doc, allowed);
    printf("  default   %s\n", default_text(&scratch, f));
    json_deinit(&scratch);
    if (f->unit) printf("  unit      %s\n", f->unit);
    if (f->choices) printf("  see       normscope describe %s\n", f->choices);
    int group = *f->group ? field_group_find(f->group) : -1;
    if (group >= 0 && strcmp(field_groups[group].shorthand, f->name) == 0)
        printf("  short     \"%s\": VALUE\n", f->group);
}

static void print_rule(const rule *r)
{
    double warns = rule_warns(r), fails = rule_fails(r);
    if (*r->metric) printf("  metric     %s\n", r->metric);
    if (r->site < SITE_COUNT) printf("  site       %s\n", site_registry.rows[r->site]->name);
    printf("  good       %s", rule_comparison(r));
    if (!isnan(warns)) printf(" %.6g", warns);
    if (isnan(warns) && !isnan(fails)) printf(" %.6g", fails);
    printf("\n  fails      ");
    if (isnan(fails))
        printf("never, it warns\n");
    else
        printf("beyond %.6g\n", fails);
}

static void print_entry(const registry *r, int row)
{
    const entry *e = r->rows[row];
    printf("%s: %s\n", e->name, e->summary ? e->summary : "");
    if (e->source) printf("  source     %s\n", e->source);
    if (e->predicts) printf("  predicts   %s\n", e->predicts);
    if (e->validity) printf("  holds for  %s\n", e->validity);
    if (e->approximate) printf("  backward   approximate: %s\n", e->approximate);
    if (e->group)
        printf("  group      %s\n  unit       %s\n  direction  %s\n  scale      %s\n", e->group,
               e->unit, e->direction, e->scale);
    if (r == &rule_registry) print_rule(&rule_table[row]);
    if (catalog_use(r, row)) printf("  needs      %s\n", use_text(catalog_use(r, row)));
    if (e->is_default) printf("  measured when the job does not say\n");
}

static void print_text(char *text)
{
    fputs(text ? text : "normscope: not enough memory\n", text ? stdout : stderr);
    free(text);
}

static void print_row(const char *kind, int row)
{
    const registry *r = find_registry(kind);
    if (!r)
        print_field(&field_table[row]);
    else if (r == &strategy_registry)
        print_text(catalogue_text(row));
    else if (r == &gallery_registry)
        print_text(gallery_row_text(row));
    else
        print_entry(r, row);
    if (r == &preset_registry) printf("%s\n", preset_text(row));
}

/* --- the command ------------------------------------------------------------------------------ */

static int put(char *json)
{
    if (!json) return 1;
    puts(json);
    free(json);
    return 0;
}

static int complain(err_code code, const char *what, const char *name, const registry *among)
{
    error e;
    draft_unknown(&e, code, what, name, among);
    fprintf(stderr, "normscope: %s\n", e.message);
    return 2;
}

/* What a config.json becomes. */
static int describe_config(const char *path, bool json)
{
    enum { MOST = 1 << 20 };
    error err = {0};
    char *text = NULL;
    size_t n = 0;
    cJSON *tree = NULL;
    hf_config *config = calloc(1, sizeof *config);
    if (!config) {
        error_set(&err, ERR_MEMORY, "", "not enough memory");
        text_complain(&err);
        return 2;
    }
    err_code code = file_read(&text, &n, path, MOST, &err);
    if (!code) code = job_edit_parse(&tree, text, n, &err);
    if (!code) code = hf_config_read(config, tree, 0, &err);
    if (!code && json) puts(config->report);
    if (!code && !json) hf_print(stdout, config->report);
    hf_config_deinit(config);
    free(config);
    free(text);
    cJSON_Delete(tree);
    if (code) text_complain(&err);
    return code ? 2 : 0;
}

static int describe(const options *o, names *n)
{
    bool json = o->flag[OPTION_json];
    find_kinds(n);
    if (o->n_arguments == 0) {
        if (json) return put(all_json());
        print_rows(n);
        printf("\nnormscope describe KIND lists one of them, KIND NAME tells more; --json for "
               "programs.\n");
        return 0;
    }
    const char *kind = o->arguments[0];
    if (strcmp(kind, "hf") == 0 && o->n_arguments == 2)
        return describe_config(o->arguments[1], json);
    if (registry_find(&n->list, kind) < 0)
        return complain(ERR_UNKNOWN_NAME, "kind", kind, &n->list);
    find_rows(n, kind);
    if (o->n_arguments == 1) {
        if (json) return put(kind_json(kind));
        if (find_registry(kind))
            print_rows(n);
        else
            print_fields();
        return 0;
    }
    int row = registry_find(&n->list, o->arguments[1]);
    if (row < 0) return complain(ERR_UNKNOWN_NAME, "name", o->arguments[1], &n->list);
    if (json) return put(row_json(kind, row));
    print_row(kind, row);
    return 0;
}

int describe_main(const options *o)
{
    if (o->n_arguments > 2) {
        fprintf(stderr, "normscope: describe takes a kind and a name, not %d arguments\n",
                o->n_arguments);
        return 2;
    }
    names *n = malloc(sizeof *n);
    int status = n ? describe(o, n) : 1;
    free(n);
    return fflush(stdout) || ferror(stdout) ? 1 : status;
}

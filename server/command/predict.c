/* normscope predict: as JSON, or a table for people. */
#include "server/command/predict.h"

#include "server/command/hf_print.h"
#include "server/command/job_text.h"
#include "server/job/predict.h"
#include "server/job/reader.h"
#include "server/text/text.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { ROWS = 12 }; /* layers of a table */

/* --- text ------------------------------------------------------------------------------------- */

static const struct {
    metric metric;
    site site;
    const char *head;
} columns[] = {
    {METRIC_var, SITE_resid_out, "var"},
    {METRIC_cos_mean, SITE_resid_out, "cos_mean"},
    {METRIC_grad_norm_rel, SITE_resid_out, "grad_norm_rel"},
    {METRIC_attn_entropy_norm, SITE_attn_prob, "entropy_norm"},
};
enum { COLUMNS = sizeof columns / sizeof *columns };

typedef struct table {
    int depth, shown[ROWS], n_shown;
    prediction cells[ROWS][COLUMNS];
    bool has[ROWS][COLUMNS];
    prediction whole[METRIC_COUNT]; /* of the run, and reasons */
    bool has_whole[METRIC_COUNT];
} table;

static int row_of(const table *t, int layer)
{
    int r = 0;
    while (r < t->n_shown && t->shown[r] != layer) r++;
    return r < t->n_shown ? r : -1;
}

static bool is_shown(void *user, int layer)
{
    return row_of(user, layer) >= 0;
}

static void keep(void *user, const prediction *p, size_t n)
{
    table *t = user;
    for (size_t i = 0; i < n; i++) {
        const int r = row_of(t, p[i].layer);
        if (p[i].site == SITE_run) {
            t->whole[p[i].metric] = p[i];
            t->has_whole[p[i].metric] = true;
        }
        for (int c = 0; r >= 0 && c < COLUMNS; c++)
            if (p[i].metric == columns[c].metric && p[i].site == columns[c].site) {
                t->cells[r][c] = p[i];
                t->has[r][c] = true;
            }
    }
}

/* Layers 1 to L, evenly on a logarithmic scale. */
static void choose_layers(table *t)
{
    for (int i = 0; i < ROWS; i++) {
        int layer = (int)lround(pow((double)t->depth, i / (ROWS - 1.0)));
        if (t->n_shown && layer <= t->shown[t->n_shown - 1]) layer = t->shown[t->n_shown - 1] + 1;
        if (layer <= t->depth) t->shown[t->n_shown++] = layer;
    }
}

static void print_cell(FILE *to, const prediction *p, bool has)
{
    char text[32] = "-";
    if (has && !p->reason) snprintf(text, sizeof text, "%.4g +-%.2g", p->value, p->tolerance);
    if (has && p->reason) snprintf(text, sizeof text, "%s", reason_name(p->reason));
    fprintf(to, "  %18s", text);
}

/* Reasons that are not simply "no law for this metric" are said. */
static void print_whole(FILE *to, const table *t)
{
    const metric said[] = {METRIC_loss, METRIC_var_growth, METRIC_grad_growth,
                           METRIC_angle_exponent};
    for (size_t i = 0; i < sizeof said / sizeof *said; i++) {
        const prediction *p = &t->whole[said[i]];
        if (!t->has_whole[said[i]] || p->reason) continue;
        fprintf(to, "  %s %.4g +-%.2g", metric_registry.rows[said[i]]->name, p->value,
                p->tolerance);
    }
    fputs("\n", to);
    bool told[REASON_COUNT] = {false};
    for (int m = 0; m < METRIC_COUNT; m++) {
        reason why = t->whole[m].reason;
        if (!t->has_whole[m] || !why || why == REASON_NO_LAW || told[why]) continue;
        told[why] = true;
        fprintf(to, "  %s: %s\n", metric_registry.rows[m]->name, reason_sentence(why));
    }
}

/* What the codes in the cells stand for. */
static void print_reasons(FILE *to, const table *t)
{
    bool told[REASON_COUNT] = {false};
    for (int r = 0; r < t->n_shown; r++)
        for (int c = 0; c < COLUMNS; c++) {
            reason why = t->has[r][c] ? t->cells[r][c].reason : REASON_NONE;
            if (!why || told[why]) continue;
            told[why] = true;
            fprintf(to, "  %s: %s\n", reason_name(why), reason_sentence(why));
        }
}

static void print_table(FILE *to, const job_run *run, const table *t)
{
    fprintf(to, "%s  depth %d\n", strcmp(run->arm, "{}") == 0 ? "" : run->arm, t->depth);
    fprintf(to, "%8s", "layer");
    for (int c = 0; c < COLUMNS; c++) fprintf(to, "  %18s", columns[c].head);
    fputs("\n", to);
    for (int r = 0; r < t->n_shown; r++) {
        fprintf(to, "%8d", t->shown[r]);
        for (int c = 0; c < COLUMNS; c++) print_cell(to, &t->cells[r][c], t->has[r][c]);
        fputs("\n", to);
    }
    print_whole(to, t);
    print_reasons(to, t);
}

static err_code print_all(FILE *to, const job *j, error *err)
{
    err_code code = ERR_OK;
    table *t = malloc(sizeof *t);
    if (!t) return error_set(err, ERR_MEMORY, "", "no memory for predictions");
    for (int i = 0; i < j->n_runs && !code; i++) {
        const job_run *run = &j->runs[i];
        if (i && strcmp(run->arm, j->runs[i - 1].arm) == 0) continue;
        run_spec spec = run->spec;
        spec.measure.sites[SITE_param] = false; /* the table has no parameters */
        *t = (table){.depth = spec.depth};
        const sink to_table = {.user = t, .predict = keep, .predict_layer = is_shown};
        choose_layers(t);
        code = engine_for(spec.precision)->predict(&spec, &to_table, err);
        if (!code) print_table(to, run, t);
    }
    free(t);
    return code;
}

/* --- the command ------------------------------------------------------------------------------ */

static err_code print_json(FILE *to, const job *j, error *err)
{
    json_out o = {0};
    err_code code = predict_write(&o, j, err);
    json_text(&o, "\n");
    if (!code && fwrite(o.text, 1, o.n, to) != o.n)
        code = error_set(err, ERR_IO, "", "cannot write the predictions");
    json_deinit(&o);
    return code;
}

static err_code predict(const options *o, error *err)
{
    limits runs = limits_default(), lim = predict_limits(&runs, false);
    char *text = NULL;
    size_t n = 0;
    int gallery;
    job j;
    job_init(&j);
    err_code code = job_text_read(o, lim.body_bytes, &text, &n, &gallery, err);
    if (!code) code = reader_job(text, n, &lim, &j, err);
    free(text);
    if (!code && j.coverage) hf_print(stderr, j.coverage);
    if (!code)
        code = o->flag[OPTION_json] ? print_json(stdout, &j, err) : print_all(stdout, &j, err);
    job_deinit(&j);
    return code;
}

int predict_main(const options *o)
{
    error err = {0};
    if (o->n_arguments > 1 || (o->n_arguments == 0 && !o->text[OPTION_hf])) {
        fprintf(stderr, "normscope: predict takes one job file, - for standard input, "
                        "gallery:NAME, or --hf\n");
        return 2;
    }
    err_code code = predict(o, &err);
    if (!code) return 0;
    text_complain(&err);
    return code <= ERR_NOT_FOUND ? 2 : 1;
}

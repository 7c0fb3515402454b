#include "server/command/rank.h"

#include "server/text/file_read.h"
#include "server/text/text.h"
#include "server/verdict/ranking.h"

#include <cJSON.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum { FILE_MAX = 1 << 30, ROW = 10 };
/* Columns of a row, as run_output.h has them. */
enum { RUN_ID, SEED, ARM, STEP, LAYER, PLACE, METRIC_NAME, PARAM, VALUE, WHY };

static err_code bad(error *err, const char *what)
{
    return error_set(err, ERR_TYPE, "", "this is no result of normscope run --format json: %s",
                     what);
}

/* The final loss of a run that has trained. */
static double final_loss(const cJSON *steps, int run)
{
    double loss = (double)NAN;
    const cJSON *row;
    cJSON_ArrayForEach(row, steps)
    {
        const cJSON *id = cJSON_GetArrayItem(row, 0), *step = cJSON_GetArrayItem(row, 1),
                    *value = cJSON_GetArrayItem(row, 2);
        if (!cJSON_IsNumber(id) || !cJSON_IsNumber(step) || (int)id->valuedouble != run) continue;
        if (step->valuedouble > 0) loss = cJSON_IsNumber(value) ? value->valuedouble : (double)NAN;
    }
    return loss;
}

/* Of a member of the list "runs". */
static double fact_of(const cJSON *runs, int run, const char *name)
{
    const cJSON *of;
    cJSON_ArrayForEach(of, runs)
    {
        const cJSON *id = cJSON_GetObjectItemCaseSensitive(of, "run_id");
        if (cJSON_IsNumber(id) && (int)id->valuedouble == run)
            return cJSON_GetNumberValue(cJSON_GetObjectItemCaseSensitive(of, name));
    }
    return (double)NAN;
}

static void give(ranking *k, const cJSON *const cell[ROW])
{
    int m = registry_find(&metric_registry, cell[METRIC_NAME]->valuestring),
        where = registry_find(&site_registry, cell[PLACE]->valuestring);
    if (m < 0 || where < 0) return;
    ranking_measure(k, (int)cell[STEP]->valuedouble, (int)cell[LAYER]->valuedouble, (site)where,
                    (metric)m, cJSON_IsNumber(cell[VALUE]) ? cell[VALUE]->valuedouble : NAN,
                    reason_find(cJSON_GetStringValue(cell[WHY])));
}

static bool read_row(const cJSON *row, const cJSON *cell[ROW])
{
    const cJSON *at = cJSON_IsArray(row) ? row->child : NULL;
    for (int i = 0; i < ROW; i++, at = at->next) {
        if (!at) return false;
        cell[i] = at;
    }
    return cJSON_IsNumber(cell[RUN_ID]) && cJSON_IsObject(cell[ARM]) &&
           cJSON_IsNumber(cell[STEP]) && cJSON_IsNumber(cell[LAYER]) &&
           cJSON_IsString(cell[PLACE]) && cJSON_IsString(cell[METRIC_NAME]);
}

/* Rows of a run come one after another. */
static err_code read_rows(ranking *k, const cJSON *tree, error *err)
{
    int run = -1;
    const cJSON *row, *cell[ROW], *rows = cJSON_GetObjectItemCaseSensitive(tree, "rows"),
                                  *steps = cJSON_GetObjectItemCaseSensitive(tree, "steps"),
                                  *runs = cJSON_GetObjectItemCaseSensitive(tree, "runs");
    if (!cJSON_IsArray(rows)) return bad(err, "it has no list \"rows\"");
    cJSON_ArrayForEach(row, rows)
    {
        if (!read_row(row, cell)) return bad(err, "a row is not as the columns say");
        if ((int)cell[RUN_ID]->valuedouble != run) {
            run = (int)cell[RUN_ID]->valuedouble;
            char *arm = cJSON_PrintUnformatted(cell[ARM]);
            err_code code = arm ? ranking_run(k, arm, fact_of(runs, run, "parameters"),
                                              fact_of(runs, run, "flops"), err)
                                : error_set(err, ERR_MEMORY, "", "not enough memory");
            cJSON_free(arm);
            if (code) return code;
            ranking_loss(k, final_loss(steps, run));
        }
        give(k, cell);
    }
    return ranking_end(k, err);
}

static err_code rank_file(ranking *k, const char *path, error *err)
{
    char *text = NULL;
    size_t n = 0;
    err_code code = file_read(&text, &n, path, FILE_MAX, err);
    if (code) return code;
    cJSON *tree = cJSON_ParseWithLength(text, n);
    free(text);
    if (!tree) return error_set(err, ERR_JSON, "", "%.200s is not JSON", path);
    code = read_rows(k, tree, err);
    cJSON_Delete(tree);
    return code;
}

static bool print(const ranking *k, bool as_json)
{
    if (!as_json) {
        ranking_print(k, stdout);
        return fflush(stdout) == 0;
    }
    json_out o = {0};
    json_begin_object(&o);
    ranking_json(k, &o);
    json_end(&o);
    bool ok = !o.failed && puts(o.text) >= 0 && fflush(stdout) == 0;
    json_deinit(&o);
    return ok;
}

int rank_main(const options *o)
{
    ranking *k = NULL;
    error err = {0};
    if (o->n_arguments != 1) {
        fprintf(stderr, "normscope: rank takes one result of normscope run, or - for standard "
                        "input\n");
        return 2;
    }
    err_code code = ranking_new(&k, o->text[OPTION_by], &err);
    if (!code) code = rank_file(k, o->arguments[0], &err);
    bool printed = !code && print(k, o->flag[OPTION_json]);
    ranking_free(k);
    if (!code) return printed ? 0 : 1;
    text_complain(&err);
    return code == ERR_MEMORY ? 1 : 2;
}

#include "server/command/job_text.h"

#include "server/catalogue/gallery.h"
#include "server/command/job_edit.h"
#include "server/job/draft.h"
#include "server/text/file_read.h"

#include <cJSON.h>
#include <stdlib.h>
#include <string.h>

/* The job's text: a file, or a row of the gallery. */
static err_code
read_text(const char *name, size_t most, char **text, size_t *n, int *row_of, error *err)
{
    int row = *row_of = gallery_named(name);
    if (row == -2)
        return draft_unknown(err, ERR_UNKNOWN_NAME, "gallery job", strchr(name, ':') + 1,
                             &gallery_registry);
    if (row < 0) return file_read(text, n, name, most, err);
    *n = strlen(gallery_table[row].job);
    *text = malloc(*n + 1);
    if (!*text) return error_set(err, ERR_MEMORY, "", "not enough memory to read the job");
    memcpy(*text, gallery_table[row].job, *n + 1);
    return ERR_OK;
}

static bool edits_job(const options *o)
{
    bool sets = o->text[OPTION_hf] || o->text[OPTION_strategy] || o->text[OPTION_depth];
    for (int i = 0; i < o->n_list; i++) sets |= o->list[i].id == OPTION_set;
    return sets;
}

static err_code set_fields(cJSON *tree, const options *o, error *err)
{
    err_code code = ERR_OK;
    for (int i = 0; i < o->n_list && !code; i++)
        if (o->list[i].id == OPTION_set) code = job_edit_set(tree, o->list[i].text, err);
    if (!code && o->text[OPTION_strategy])
        code = job_edit_set_to(tree, "strategy.name", o->text[OPTION_strategy], err);
    if (!code && o->text[OPTION_depth])
        code = job_edit_set_to(tree, "depth", o->text[OPTION_depth], err);
    return code;
}

/* The text of the job with what the command line puts into it. */
static err_code edit_job(char **text, size_t *n, const options *o, size_t most, error *err)
{
    char *config = NULL;
    size_t n_config = 0;
    cJSON *tree = NULL;
    err_code code = ERR_OK;
    if (o->text[OPTION_hf]) code = file_read(&config, &n_config, o->text[OPTION_hf], most, err);
    if (!code) code = job_edit_begin(&tree, *text, *n, config, n_config, err);
    if (!code) code = set_fields(tree, o, err);
    free(*text);
    free(config);
    *text = job_edit_end(tree);
    *n = *text ? strlen(*text) : 0;
    if (!code && !*text)
        code = error_set(err, ERR_MEMORY, "", "not enough memory to put the job together");
    return code;
}

err_code
job_text_read(const options *o, size_t body_bytes, char **text, size_t *n, int *row_of, error *err)
{
    err_code code = ERR_OK;
    *text = NULL, *n = 0, *row_of = -1;
    if (o->n_arguments) code = read_text(o->arguments[0], body_bytes, text, n, row_of, err);
    if (code || !edits_job(o)) return code;
    *row_of = -1; /* another job than the one of which things are expected */
    return edit_job(text, n, o, body_bytes, err);
}

/* What a job is laid over: a preset by name, a preset written out, or the model that a Hugging Face
 * config describes; and the strategies that arms name. Each is read once, when it is first needed.
 *
 * Order of precedence, weakest first: defaults of the field table, the preset (or config), the row
 * of the named strategy, the job's own fields. A preset may name a strategy: that is the row for
 * jobs that name none, so a job that names one gets nothing of the other.
 */
#ifndef SERVER_JOB_BASE_H
#define SERVER_JOB_BASE_H

#include "server/job/hf_config.h"

typedef struct base_parts {
    draft *presets; /* one per row of preset_registry */
    bool *preset_read;
    draft *strategies; /* one per row of strategy_registry */
    bool *strategy_read;
    draft written; /* the preset that the job writes out */
    hf_config *hf; /* the config that stands in its place; NULL: none */
    int depth_max;
} base_parts;

/* Makes room, and reads what the job's own fields (own) bring with them: a preset that is written
 * out or a config. Error pointers are from the document. The caller calls base_deinit also after an
 * error. */
err_code base_init(base_parts *b, const draft *own, int depth_max, error *err);
void base_deinit(base_parts *b);

/* Row of preset_registry, or DRAFT_WRITTEN_OUT; with a config its fields, whatever the row. */
err_code base_preset(base_parts *b, int row, const draft **out, error *err);
/* Row of strategy_registry. */
err_code base_strategy(base_parts *b, int row, const draft **out, error *err);

/* A part of a job as text: of a row of the presets or of the strategies. */
err_code base_part(draft *out, const char *text, error *err);

#endif

/* A Hugging Face config.json as the model of a job: each of its fields becomes fields of a job, is
 * ignored with a reason, or is reported as unsupported. Driven by two tables: server/job/hf_model.def
 * (one row per model_type, with what absent fields stand for) and server/job/hf_field.def (one row per
 * field).
 *
 * A config is data from outside that json_scan has passed and nothing more. What would make the
 * network another one (experts, ALiBi, an encoder with a decoder) is refused, with a pointer from
 * the config. Any thread.
 */
#ifndef SERVER_JOB_HF_CONFIG_H
#define SERVER_JOB_HF_CONFIG_H

#include "server/job/draft.h"
#include "server/job/hf_model.h"
#include "server/text/json_out.h"

struct cJSON;

/* What became of a config. */
typedef struct hf_config {
    draft part;                      /* a part of a job */
    const char *origin[FIELD_COUNT]; /* the field of the config that gave it; NULL: none did */
    const char *inside;              /* origin is in this member of the config; NULL: in itself */
    char *report;                    /* JSON, below; heap */
} hf_config;

/* The report is {"model_type", "summary",
 *   "always":      part of a job that the code of this model_type stands for,
 *   "used":        [{"field", "value", "became": {"model.d_model": 768, …}}],
 *   "defaulted":   [the same for fields that the config leaves out],
 *   "ignored":     [{"field", "value", "why"}],
 *   "unsupported": [{"field", "value", "why"}]}.
 * A used field that became {} has the value with which the network is the one that is built. A long
 * value is told by its kind and length. */

/* Reads a config into *out. Errors have pointers from the config. The caller calls hf_config_deinit
 * also after an error. depth_max: limits.depth. */
err_code hf_config_read(hf_config *out, const struct cJSON *config, int depth_max, error *err);
void hf_config_deinit(hf_config *c);

/* --- for server/job/hf_map.c ------------------------------------------------------------------------
 */

typedef enum hf_outcome { HF_USED, HF_IGNORED, HF_UNSUPPORTED } hf_outcome;

struct hf_field;

typedef struct hf_mapping {
    const hf_model *model;
    const struct cJSON *config;   /* the members that are read */
    const struct cJSON *defaults; /* what absent ones stand for */
    int depth_max;
    hf_config *out;
    /* Of the field at hand. */
    const struct hf_field *field;
    hf_outcome outcome;
    char why[200];
    json_out became; /* members of an object */
} hf_mapping;

/* Turns one value into fields, or says in outcome and why what else is to be made of it. Error
 * pointers are from the value. */
typedef err_code hf_map(hf_mapping *m, const struct cJSON *value, error *err);

typedef struct hf_field {
    const char *name;
    hf_map *map;
    field_id to, also;
    const char *text;
    const char *why;
    bool common; /* a name that transformers understands for every model, whatever its own is */
} hf_field;

extern const hf_field hf_field_table[];
extern const int hf_n_fields;

/* Gives a field of the job, and notes it. */
err_code hf_give(hf_mapping *m, field_id id, const struct cJSON *value, error *err);
err_code hf_give_number(hf_mapping *m, field_id id, double value, error *err);
err_code hf_give_bool(hf_mapping *m, field_id id, bool value, error *err);
err_code hf_give_name(hf_mapping *m, field_id id, const char *name, error *err);

/* A member of the config, else its default, else NULL. A name in parentheses: the constant. */
const struct cJSON *hf_value(const hf_mapping *m, const char *name);
bool hf_is_true(const hf_mapping *m, const char *name);

hf_map hf_map_identity, hf_map_ignored, hf_map_neutral, hf_map_reported;

#endif

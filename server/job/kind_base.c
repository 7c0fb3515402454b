/* What a job is laid over, by name or written out (server/job/base.c), and model.width_scale. A draft
 * has them, a run has what came of them. */
#include "server/job/kind_json.h"
#include "server/job/kind_number.h"
#include "server/job/preset.h"
#include "server/job/strategy.h"

#include <cJSON.h>

/* --- a preset --------------------------------------------------------------------------------- */

static err_code read_preset(draft *to, const field *f, const cJSON *v, int depth_max, error *err)
{
    (void)depth_max;
    to->written = v;
    to->preset = DRAFT_WRITTEN_OUT;
    if (cJSON_IsObject(v)) return ERR_OK;
    if (!cJSON_IsString(v)) return draft_refuse(err, ERR_TYPE, f, v, 0);
    to->preset = registry_find(&preset_registry, v->valuestring);
    if (to->preset < 0)
        return draft_unknown(err, ERR_UNKNOWN_NAME, "preset", v->valuestring, &preset_registry);
    return ERR_OK;
}

static void write_preset(json_out *o, const draft *from)
{
    json_string(o, from->preset < 0 ? NULL : preset_registry.rows[from->preset]->name);
}

static void copy_preset(draft *to, const draft *from)
{
    to->preset = from->preset;
    to->written = from->written;
}

/* A name, or a part of a job in its place. */
static void schema_preset(json_out *o, const field *f)
{
    json_array_member(o, "oneOf");
    json_begin_object(o);
    kind_schema_name(o, f);
    json_end(o);
    kind_schema_reference(o, "part");
    json_end(o);
}

const field_kind kind_PRESET = {
    .name = "preset",
    .choices = &preset_registry,
    .allows = "a preset's name, or what it would stand for: a part of a job",
    .read = read_preset,
    .write_draft = write_preset,
    .copy_draft = copy_preset,
    .write_default = kind_default_name,
    .schema = schema_preset,
};

/* --- a config of Hugging Face ----------------------------------------------------------------- */

static err_code read_config(draft *to, const field *f, const cJSON *v, int depth_max, error *err)
{
    (void)depth_max;
    to->hf_config = v;
    return cJSON_IsObject(v) ? ERR_OK : draft_refuse(err, ERR_TYPE, f, v, 0);
}

static void copy_config(draft *to, const draft *from)
{
    to->hf_config = from->hf_config;
}

static void schema_config(json_out *o, const field *f)
{
    (void)f;
    json_string_member(o, "type", "object");
}

const field_kind kind_HF_CONFIG = {
    .name = "hf_config",
    .is_one = true,
    .is_optional = true,
    .allows = "the object of a config.json",
    .read = read_config,
    .copy_draft = copy_config,
    .write_default = kind_default_json,
    .schema = schema_config,
};

/* --- a narrower network ----------------------------------------------------------------------- */

static err_code read_scale(draft *to, const field *f, const cJSON *v, int depth_max, error *err)
{
    to->width_scale = v->valuedouble;
    return number_check(f, v, f->max, depth_max, err);
}

static void write_scale(json_out *o, const draft *from)
{
    json_double(o, from->width_scale);
}

static void copy_scale(draft *to, const draft *from)
{
    to->width_scale = from->width_scale;
}

const field_kind kind_SCALE = {
    .name = "number",
    .is_number = true,
    .allowed = number_allowed,
    .read = read_scale,
    .write_draft = write_scale,
    .copy_draft = copy_scale,
    .write_default = number_default,
    .schema = number_schema,
};

/* --- a strategy ------------------------------------------------------------------------------- */

static err_code read_strategy(draft *to, const field *f, const cJSON *v, int depth_max, error *err)
{
    (void)depth_max;
    if (!cJSON_IsString(v)) return draft_refuse(err, ERR_TYPE, f, v, 0);
    to->strategy = registry_find(&strategy_registry, v->valuestring);
    if (to->strategy < 0)
        return draft_unknown(err, ERR_UNKNOWN_NAME, "strategy", v->valuestring, &strategy_registry);
    const strategy *s = strategy_table[to->strategy];
    if (s->refused)
        return error_set(err, ERR_COMBINATION, "", "%s is known and not offered: %s", s->entry.name,
                         s->refused);
    return ERR_OK;
}

static void write_strategy(json_out *o, const draft *from)
{
    json_string(o, strategy_registry.rows[from->strategy]->name);
}

static void copy_strategy(draft *to, const draft *from)
{
    to->strategy = from->strategy;
}

const field_kind kind_STRATEGY = {
    .name = "strategy",
    .choices = &strategy_registry,
    .allows = "a strategy's name",
    .read = read_strategy,
    .write_draft = write_strategy,
    .copy_draft = copy_strategy,
    .write_default = kind_default_name,
    .schema = kind_schema_name,
};

#include "server/job/base.h"

#include "server/job/preset.h"
#include "server/job/strategy.h"

#include <cJSON.h>
#include <stdlib.h>

static err_code read_members(draft *out, const cJSON *tree, int depth_max, error *err)
{
    const cJSON *member;
    cJSON_ArrayForEach(member, tree)
    {
        err_code code;
        if (!draft_read_member(out, member, depth_max, &code, err)) {
            draft_names names;
            draft_field_names(&names, -1);
            code = draft_unknown(err, ERR_UNKNOWN_FIELD, "part of a preset called", member->string,
                                 &names.names);
            error_prefix(err, member->string);
        }
        if (code) return code;
    }
    return ERR_OK;
}

err_code base_part(draft *out, const char *text, error *err)
{
    cJSON *tree = cJSON_Parse(text);
    if (!tree) return error_set(err, ERR_MEMORY, "", "not enough memory to read the job");
    err_code code = read_members(out, tree, 0, err);
    cJSON_Delete(tree);
    return code;
}

static err_code read_row(draft *out, bool *is_read, const char *text, error *err)
{
    if (*is_read) return ERR_OK;
    err_code code = base_part(out, text, err);
    *is_read = !code;
    return code;
}

static err_code read_written(base_parts *b, const cJSON *tree, error *err)
{
    err_code code = read_members(&b->written, tree, b->depth_max, err);
    bool nested = b->written.given[FIELD_model_preset] || b->written.given[FIELD_model_hf_config];
    if (!code && nested)
        code = error_set(err, ERR_COMBINATION, "/model",
                         "a preset that is written out stands on no other; its fields are enough");
    if (!code) return ERR_OK;
    error_prefix(err, "preset");
    error_prefix(err, "model");
    return code;
}

static err_code read_hf(base_parts *b, const cJSON *config, error *err)
{
    b->hf = malloc(sizeof *b->hf);
    if (!b->hf) return error_set(err, ERR_MEMORY, "", "not enough memory to read the config");
    err_code code = hf_config_read(b->hf, config, b->depth_max, err);
    if (!code) return ERR_OK;
    error_prefix(err, "hf_config");
    error_prefix(err, "model");
    return code;
}

err_code base_init(base_parts *b, const draft *own, int depth_max, error *err)
{
    *b = (base_parts){.depth_max = depth_max};
    b->presets = calloc((size_t)preset_registry.n, sizeof *b->presets);
    b->preset_read = calloc((size_t)preset_registry.n, sizeof *b->preset_read);
    b->strategies = calloc((size_t)strategy_registry.n, sizeof *b->strategies);
    b->strategy_read = calloc((size_t)strategy_registry.n, sizeof *b->strategy_read);
    if (!b->presets || !b->preset_read || !b->strategies || !b->strategy_read)
        return error_set(err, ERR_MEMORY, "", "not enough memory to read the job");
    bool preset = own->given[FIELD_model_preset], config = own->given[FIELD_model_hf_config];
    if (preset && config)
        return error_set(err, ERR_COMBINATION, "/model/hf_config",
                         "hf_config takes the place of a preset; model.preset is given too");
    if (config) return read_hf(b, own->hf_config, err);
    return preset && own->preset == DRAFT_WRITTEN_OUT ? read_written(b, own->written, err) : ERR_OK;
}

void base_deinit(base_parts *b)
{
    if (b->hf) hf_config_deinit(b->hf);
    free(b->hf);
    free(b->presets);
    free(b->preset_read);
    free(b->strategies);
    free(b->strategy_read);
    *b = (base_parts){0};
}

err_code base_preset(base_parts *b, int row, const draft **out, error *err)
{
    *out = b->hf ? &b->hf->part : row == DRAFT_WRITTEN_OUT ? &b->written : &b->presets[row];
    if (b->hf || row == DRAFT_WRITTEN_OUT) return ERR_OK;
    return read_row(&b->presets[row], &b->preset_read[row], preset_text(row), err);
}

err_code base_strategy(base_parts *b, int row, const draft **out, error *err)
{
    *out = &b->strategies[row];
    return read_row(&b->strategies[row], &b->strategy_read[row], strategy_table[row]->job, err);
}

/* What fields of a Hugging Face config become: the functions that server/job/hf_field.def names. */
#include "server/job/hf_config.h"

#include <cJSON.h>
#include <math.h>
#include <stdio.h>
#include <string.h>

/* --- single values ---------------------------------------------------------------------------- */

static err_code skip(hf_mapping *m, const char *why)
{
    m->outcome = HF_IGNORED;
    snprintf(m->why, sizeof m->why, "%s", why);
    return ERR_OK;
}

static err_code unsupported(hf_mapping *m, const char *why)
{
    m->outcome = HF_UNSUPPORTED;
    snprintf(m->why, sizeof m->why, "%s", why);
    return ERR_OK;
}

static err_code refuse(const hf_mapping *m, const cJSON *value, const char *why, error *err)
{
    char text[DRAFT_VALUE];
    draft_value_text(text, value);
    return error_set(err, ERR_COMBINATION, "", "%s is %s: %s", m->field->name, text, why);
}

static err_code wrong_type(const hf_mapping *m, const cJSON *value, const char *allowed, error *err)
{
    char text[DRAFT_VALUE];
    draft_value_text(text, value);
    return error_set(err, ERR_TYPE, "", "%s is %s; allowed: %s", m->field->name, text, allowed);
}

static double number_of(const hf_mapping *m, const char *name)
{
    const cJSON *v = hf_value(m, name);
    return cJSON_IsNumber(v) && isfinite(v->valuedouble) ? v->valuedouble : 0;
}

static bool is_field(const hf_mapping *m, const char *name)
{
    return strcmp(m->field->name, name) == 0;
}

static err_code copy(hf_mapping *m, const cJSON *value, error *err)
{
    if (cJSON_IsNull(value)) return skip(m, "null: follows from other fields");
    err_code code = hf_give(m, m->field->to, value, err);
    return code || !m->field->also ? code : hf_give(m, m->field->also, value, err);
}

static err_code keep(hf_mapping *m, const cJSON *value, error *err)
{
    return hf_give(m, m->field->to, value, err);
}

err_code hf_map_ignored(hf_mapping *m, const cJSON *value, error *err)
{
    (void)value, (void)err;
    return skip(m, m->field->why);
}

static bool is_neutral(const hf_mapping *m, const cJSON *value)
{
    cJSON *same = cJSON_Parse(m->field->text);
    bool equal = same && cJSON_Compare(same, value, true);
    cJSON_Delete(same);
    return equal || cJSON_IsNull(value);
}

err_code hf_map_neutral(hf_mapping *m, const cJSON *value, error *err)
{
    return is_neutral(m, value) ? ERR_OK : refuse(m, value, m->field->why, err);
}

err_code hf_map_reported(hf_mapping *m, const cJSON *value, error *err)
{
    (void)err;
    return is_neutral(m, value) ? ERR_OK : unsupported(m, m->field->why);
}

static err_code want_bool(hf_mapping *m, const cJSON *value, error *err)
{
    return cJSON_IsBool(value) ? ERR_OK : wrong_type(m, value, "true, false", err);
}

/* --- what the file is: read before the fields are (server/job/hf_config.c) -------------------------
 */

err_code hf_map_identity(hf_mapping *m, const cJSON *value, error *err)
{
    (void)value, (void)err;
    bool by_class = is_field(m, "architectures");
    if (by_class && cJSON_IsString(hf_value(m, "model_type")))
        return skip(m,
                    "model_type says which network it is; the head of a probe is the vocabulary's");
    return ERR_OK;
}

/* --- sizes ------------------------------------------------------------------------------------ */

/* falcon: without the newer block one key-value head, or as many as there are heads. */
static err_code falcon_heads(hf_mapping *m, const cJSON *value, error *err)
{
    bool newer = hf_is_true(m, "new_decoder_architecture"), one = hf_is_true(m, "multi_query");
    if (is_field(m, "num_kv_heads"))
        return newer || !one ? copy(m, value, err) : skip(m, "multi_query has one key-value head");
    err_code code = want_bool(m, value, err);
    if (code) return code;
    if (newer) return skip(m, "num_kv_heads says it");
    return one ? hf_give_number(m, FIELD_model_n_kv_heads, 1, err) : ERR_OK;
}

/* opt: an embedding narrower than the stream, with maps in and out. */
static err_code narrow_embedding(hf_mapping *m, const cJSON *value, error *err)
{
    if (cJSON_IsNull(value)) return skip(m, "null: as hidden_size");
    if (!cJSON_IsNumber(value)) return wrong_type(m, value, "a number, or null", err);
    return value->valuedouble == m->out->part.spec.model.d_model
               ? ERR_OK
               : refuse(m, value, "an embedding narrower than the stream is not built", err);
}

/* vit, deit: image_size and patch_size together are the length of a sequence. */
static err_code patches(hf_mapping *m, const cJSON *value, error *err)
{
    if (is_field(m, "image_size"))
        return cJSON_IsNumber(value) ? skip(m, "with patch_size, the length of a sequence")
                                     : wrong_type(m, value, "a number", err);
    if (is_field(m, "patch_size") && !cJSON_IsNumber(value))
        return wrong_type(m, value, "a number", err);
    double side = number_of(m, "patch_size");
    side = side > 0 ? floor(number_of(m, "image_size") / side) : 0;
    return hf_give_number(m, FIELD_data_seq_len,
                          side * side + number_of(m, "(tokens that are no patch)"), err);
}

/* --- the block -------------------------------------------------------------------------------- */

static const struct {
    const char *theirs, *plain, *gated; /* NULL: there is no such activation */
} activations[] = {
    {"gelu", "gelu", "geglu"},
    {"gelu_python", "gelu", "geglu"},
    {"gelu_new", "gelu_tanh", "geglu_tanh"},
    {"gelu_fast", "gelu_tanh", "geglu_tanh"},
    {"gelu_accurate", "gelu_tanh", "geglu_tanh"},
    {"gelu_pytorch_tanh", "gelu_tanh", "geglu_tanh"},
    {"gelu_python_tanh", "gelu_tanh", "geglu_tanh"},
    {"relu", "relu", NULL},
    {"silu", "silu", "swiglu"},
    {"swish", "silu", "swiglu"},
};

/* The model's own activation, before any field of the config, says whether its MLP is gated. */
static err_code activation(hf_mapping *m, const cJSON *value, error *err)
{
    if (cJSON_IsNull(value)) return skip(m, "null: another field says it");
    if (!cJSON_IsString(value)) return wrong_type(m, value, "the name of an activation", err);
    bool gated = m->out->part.given[FIELD_model_activation] &&
                 engine_f32.activation_gated(m->out->part.spec.model.activation);
    for (size_t i = 0; i < sizeof activations / sizeof *activations; i++) {
        const char *ours = gated ? activations[i].gated : activations[i].plain;
        if (ours && strcmp(value->valuestring, activations[i].theirs) == 0)
            return hf_give_name(m, FIELD_model_activation, ours, err);
    }
    return refuse(m, value, gated ? "there is no such gate" : "there is no such activation", err);
}

static err_code norm_before(hf_mapping *m, const cJSON *value, error *err)
{
    err_code code = want_bool(m, value, err);
    if (code) return code;
    return hf_give_name(m, FIELD_strategy_placement, cJSON_IsTrue(value) ? "pre_ln" : "post_ln",
                        err);
}

static err_code no_final_norm(hf_mapping *m, const cJSON *value, error *err)
{
    err_code code = want_bool(m, value, err);
    return code || !cJSON_IsTrue(value) ? code
                                        : hf_give_bool(m, FIELD_strategy_final_norm, false, err);
}

static err_code embedding_factor(hf_mapping *m, const cJSON *value, error *err)
{
    (void)value;
    return hf_give_number(m, FIELD_model_embed_scale, sqrt(m->out->part.spec.model.d_model), err);
}

static err_code parallel(hf_mapping *m, const cJSON *value, error *err)
{
    if (is_field(m, "(norms of a parallel block)"))
        return hf_is_true(m, "use_parallel_residual")
                   ? hf_give(m, FIELD_strategy_parallel_norms, value, err)
                   : skip(m, "the branches are not parallel");
    err_code code = want_bool(m, value, err);
    return code ? code : hf_give(m, FIELD_model_parallel, value, err);
}

/* falcon: the newer block is always parallel, with a norm for each branch or one for both. */
static err_code falcon_parallel(hf_mapping *m, const cJSON *value, error *err)
{
    bool newer = hf_is_true(m, "new_decoder_architecture");
    if (is_field(m, "parallel_attn")) {
        err_code code = want_bool(m, value, err);
        return code ? code
                    : hf_give_bool(m, FIELD_model_parallel, newer || cJSON_IsTrue(value), err);
    }
    if (is_field(m, "new_decoder_architecture")) {
        err_code code = want_bool(m, value, err);
        return code || !newer ? code : hf_give_number(m, FIELD_strategy_parallel_norms, 2, err);
    }
    if (!newer || cJSON_IsNull(value)) return skip(m, "follows from new_decoder_architecture");
    return hf_give(m, FIELD_strategy_parallel_norms, value, err);
}

/* bert and its kin: an encoder that may be used as a decoder. */
static err_code decoder(hf_mapping *m, const cJSON *value, error *err)
{
    err_code code = want_bool(m, value, err);
    bool encoder = m->out->part.spec.model.mask == MASK_BIDIRECTIONAL;
    if (code || !encoder || !cJSON_IsTrue(value)) return code;
    return hf_give_name(m, FIELD_model_mask, "causal", err);
}

/* --- attention -------------------------------------------------------------------------------- */

static err_code scaled_logits(hf_mapping *m, const cJSON *value, error *err)
{
    err_code code = want_bool(m, value, err);
    return code || cJSON_IsTrue(value) ? code
                                       : hf_give_name(m, FIELD_model_logit_scale, "one", err);
}

static double head_width(const hf_mapping *m)
{
    const spec_model *s = &m->out->part.spec.model;
    return s->head_dim > 0 ? s->head_dim : s->d_model / s->n_heads;
}

static err_code query_scale(hf_mapping *m, const cJSON *value, error *err)
{
    if (!cJSON_IsNumber(value)) return wrong_type(m, value, "a number", err);
    if (value->valuedouble == head_width(m))
        return hf_give_name(m, FIELD_model_logit_scale, "inv_sqrt", err);
    if (value->valuedouble == 1) return hf_give_name(m, FIELD_model_logit_scale, "one", err);
    err_code code = value->valuedouble > 0 && isfinite(value->valuedouble)
                        ? hf_give_name(m, FIELD_model_logit_scale, "inv_sqrt", err)
                        : wrong_type(m, value, "a number above 0", err);
    if (code) return code;
    return hf_give_number(m, FIELD_model_logit_factor, sqrt(head_width(m) / value->valuedouble),
                          err);
}

/* --- windows ---------------------------------------------------------------------------------- */

static bool has_window(const hf_mapping *m)
{
    const cJSON *v = hf_value(m, "use_sliding_window");
    return !v || cJSON_IsTrue(v);
}

static err_code whole_window(hf_mapping *m, const cJSON *value, error *err)
{
    if (cJSON_IsNull(value)) return hf_give_number(m, FIELD_model_window, 0, err);
    if (!cJSON_IsNumber(value)) return wrong_type(m, value, "a number, or null", err);
    if (!has_window(m)) return skip(m, "use_sliding_window is false");
    /* No sequence is longer. */
    if (value->valuedouble > field_table[FIELD_model_window].max)
        return hf_give_number(m, FIELD_model_window, 0, err);
    return hf_give(m, FIELD_model_window, value, err);
}

/* use_sliding_window, sliding_window, max_window_layers: the first blocks, so many, see everything.
 */
static err_code window(hf_mapping *m, const cJSON *value, error *err)
{
    if (is_field(m, "sliding_window")) return whole_window(m, value, err);
    if (is_field(m, "use_sliding_window")) return want_bool(m, value, err);
    if (!cJSON_IsNumber(value)) return wrong_type(m, value, "a number", err);
    if (!has_window(m)) return skip(m, "use_sliding_window is false");
    if (cJSON_IsArray(hf_value(m, "layer_types"))) return skip(m, "layer_types says it");
    if (value->valuedouble >= m->out->part.spec.depth)
        return hf_give_number(m, FIELD_model_window, 0, err);
    return value->valuedouble <= 0
               ? ERR_OK
               : refuse(m, value, "a window in the last blocks only is not built", err);
}

static bool windowed(const hf_mapping *m)
{
    return m->out->part.spec.model.window > 0;
}

static err_code global_every(hf_mapping *m, const cJSON *value, error *err)
{
    if (!windowed(m)) return skip(m, "no block has a window");
    if (cJSON_IsNull(value) && *m->field->name == '(')
        return hf_give_number(m, FIELD_model_global_every, 0, err);
    if (cJSON_IsNull(value)) return skip(m, "null: follows from other fields");
    return hf_give(m, FIELD_model_global_every, value, err);
}

/* The number of the first block without a window, 0 when there is none; -1 when the list is no list
 * of two kinds of attention. */
static int first_global(const cJSON *list, const char **odd)
{
    int block = 0, first = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        const char *kind = cJSON_IsString(item) ? item->valuestring : "";
        bool global = strcmp(kind, "full_attention") == 0;
        block++;
        if (!global && strcmp(kind, "sliding_attention") != 0) {
            *odd = kind;
            return -1;
        }
        if (global && !first) first = block;
    }
    return first;
}

static bool is_periodic(const cJSON *list, int every)
{
    int block = 0;
    const cJSON *item;
    cJSON_ArrayForEach(item, list)
    {
        bool global = strcmp(item->valuestring, "full_attention") == 0;
        if (global != (++block % every == 0)) return false;
    }
    return true;
}

static err_code layer_types(hf_mapping *m, const cJSON *value, error *err)
{
    const char *odd = "";
    if (cJSON_IsNull(value)) return skip(m, "null: follows from other fields");
    if (!cJSON_IsArray(value)) return wrong_type(m, value, "a list, or null", err);
    int n = cJSON_GetArraySize(value), first = first_global(value, &odd);
    if (first < 0)
        return error_set(
            err, ERR_COMBINATION, "",
            "layer_types has \"%.40s\"; full_attention and sliding_attention are built", odd);
    if (!windowed(m) && first != 1 && n)
        return refuse(m, value, "it has windows, and sliding_window gives none", err);
    if (first == 1 && is_periodic(value, 1)) {
        err_code code = hf_give_number(m, FIELD_model_window, 0, err);
        return code ? code : hf_give_number(m, FIELD_model_global_every, 1, err);
    }
    if (first && !is_periodic(value, first))
        return refuse(m, value, "blocks without a window must come at equal distances", err);
    /* A short stack may not reach the first block that sees everything. */
    int every = m->out->part.spec.model.global_every;
    if (!first && (every == 0 || every > n)) return ERR_OK;
    return hf_give_number(m, FIELD_model_global_every, first, err);
}

/* --- positions -------------------------------------------------------------------------------- */

static err_code rotary_dim(hf_mapping *m, const cJSON *value, error *err)
{
    if (cJSON_IsNull(value)) return hf_give_number(m, FIELD_model_rope_fraction, 1, err);
    if (!cJSON_IsNumber(value)) return wrong_type(m, value, "a number, or null", err);
    return hf_give_number(m, FIELD_model_rope_fraction, value->valuedouble / head_width(m), err);
}

static const char *rope_kind(const cJSON *rope)
{
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(rope, "rope_type");
    if (!cJSON_IsString(type)) type = cJSON_GetObjectItemCaseSensitive(rope, "type");
    return cJSON_IsString(type) ? type->valuestring : "default";
}

/* Frequencies that are scaled turn queries and keys by other angles and leave their lengths. */
static err_code scaled_rope(hf_mapping *m, const cJSON *rope)
{
    const char *kind = rope_kind(rope);
    if (strcmp(kind, "default") == 0) return ERR_OK;
    m->outcome = HF_UNSUPPORTED;
    snprintf(m->why, sizeof m->why,
             "frequencies scaled by \"%.24s\" are not built: angles differ, lengths of queries and "
             "keys do not",
             kind);
    return ERR_OK;
}

static err_code rope_scaling(hf_mapping *m, const cJSON *value, error *err)
{
    if (cJSON_IsNull(value)) return ERR_OK;
    return cJSON_IsObject(value) ? scaled_rope(m, value)
                                 : wrong_type(m, value, "an object, or null", err);
}

static err_code
rope_member(hf_mapping *m, const cJSON *rope, const char *name, field_id to, error *err)
{
    const cJSON *v = cJSON_GetObjectItemCaseSensitive(rope, name);
    err_code code = v && !cJSON_IsNull(v) ? hf_give(m, to, v, err) : ERR_OK;
    if (code) error_prefix(err, name);
    return code;
}

/* rope_theta, rope_type and the rest in one object; or two of them, for blocks without and with a
 * window. */
static err_code rope_parameters(hf_mapping *m, const cJSON *value, error *err)
{
    if (cJSON_IsNull(value)) return skip(m, "null: rope_theta and rope_scaling say it");
    if (!cJSON_IsObject(value)) return wrong_type(m, value, "an object, or null", err);
    const cJSON *full = cJSON_GetObjectItemCaseSensitive(value, "full_attention"),
                *local = cJSON_GetObjectItemCaseSensitive(value, "sliding_attention");
    const cJSON *rope = cJSON_IsObject(full) ? full : value;
    err_code code = rope_member(m, rope, "rope_theta", FIELD_model_rope_base, err);
    if (!code) code = rope_member(m, rope, "partial_rotary_factor", FIELD_model_rope_fraction, err);
    if (code && rope == full) error_prefix(err, "full_attention");
    if (!code && cJSON_IsObject(local) &&
        (code = rope_member(m, local, "rope_theta", FIELD_model_rope_base_local, err)))
        error_prefix(err, "sliding_attention");
    return code ? code : scaled_rope(m, rope);
}

static err_code sinusoidal(hf_mapping *m, const cJSON *value, error *err)
{
    err_code code = want_bool(m, value, err);
    return code || !cJSON_IsTrue(value) ? code
                                        : hf_give_name(m, FIELD_model_position, "sinusoidal", err);
}

/* --- the table -------------------------------------------------------------------------------- */

#define identity hf_map_identity
#define ignored hf_map_ignored
#define neutral hf_map_neutral
#define reported hf_map_reported
const hf_field hf_field_table[] = {
#define HF_FIELD(name_, ...) {.name = name_, .map = __VA_ARGS__},
#include "server/job/hf_field.def"
#undef HF_FIELD
};
const int hf_n_fields = sizeof hf_field_table / sizeof *hf_field_table;

#include "server/command/run_tensors.h"

#include "server/job/reader.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

err_code run_tensors_open(
    run_tensors *t, const char *weights, const char *save, const char *dump, error *err)
{
    *t = (run_tensors){.weights.fd = -1, .save.data = -1, .dump.data = -1};
    err_code code = ERR_OK;
    if (weights) {
        error why;
        if ((code = safetensors_open(&t->weights, weights, &why)))
            return error_set(err, code, why.pointer, "%.100s: %.200s", weights, why.message);
        t->has_weights = true;
    }
    if (save) {
        if ((code = safetensors_writer_open(&t->save, save, err))) return code;
        t->has_save = true;
    }
    if (dump) {
        if ((code = safetensors_writer_open(&t->dump, dump, err))) return code;
        t->has_dump = true;
    }
    return ERR_OK;
}

void run_tensors_close(run_tensors *t)
{
    if (t->has_weights) safetensors_close(&t->weights);
    if (t->has_save) safetensors_abort(&t->save);
    if (t->has_dump) safetensors_abort(&t->dump);
    t->has_weights = t->has_save = t->has_dump = false;
}

static bool is_data(const char *name)
{
    return strncmp(name, "data.", 5) == 0;
}

/* Weights from elsewhere may come without data and running state, and a model that was not made for
 * a profile (core/run/profile.h) without what that sets. */
static bool is_optional(const char *name)
{
    size_t n = strlen(name), m = strlen(".omega");
    return is_data(name) || strncmp(name, "state.", 6) == 0 ||
           (n > m && strcmp(name + n - m, ".omega") == 0);
}

static err_code load(run_tensors *t, const tensor_view *v)
{
    const safetensors_entry *e = safetensors_find(&t->weights, v->name);
    if (!e && is_optional(v->name)) return ERR_OK;
    if (!e)
        return error_set(&t->why, ERR_MISSING_FIELD, "",
                         "the weights file has no tensor %s, which the model needs", v->name);
    t->used++;
    return safetensors_read(&t->weights, e, v, &t->why);
}

static err_code dump(run_tensors *t, enum tensor_when when, int step, const tensor_view *v)
{
    char prefix[32] = "";
    if (when == TENSOR_PROBE)
        snprintf(prefix, sizeof prefix, "probe.%d.", step);
    else if (when == TENSOR_FINAL)
        snprintf(prefix, sizeof prefix, "final.");
    if (when == TENSOR_FINAL && (step == 0 || is_data(v->name))) return ERR_OK;
    return safetensors_add(&t->dump, prefix, v, &t->why);
}

/* A network made for a proxy starts from the same weights and data where it has them. */
static err_code load_proxy(run_tensors *t, int step, const tensor_view *v)
{
    bool wanted = t->has_weights && (is_data(v->name) ? step == 0 : step < 2);
    const safetensors_entry *e = wanted ? safetensors_find(&t->weights, v->name) : NULL;
    return e ? safetensors_read(&t->weights, e, v, &t->why) : ERR_OK;
}

bool run_tensors_tensor(run_tensors *t, enum tensor_when when, int step, const tensor_view *v)
{
    if (when == TENSOR_PROXY) return load_proxy(t, step, v) == ERR_OK;
    err_code code = ERR_OK;
    t->asked |= when == TENSOR_INITIAL;
    if (when == TENSOR_INITIAL && t->has_weights) code = load(t, v);
    if (!code && when == TENSOR_FINAL && t->has_save && !is_data(v->name))
        code = safetensors_add(&t->save, "", v, &t->why);
    if (!code && t->has_dump) code = dump(t, when, step, v);
    return code == ERR_OK;
}

bool run_tensors_check(run_tensors *t)
{
    if (!t->has_weights || !t->asked || t->used == t->weights.n) return true;
    error_set(&t->why, ERR_UNKNOWN_FIELD, "",
              "the weights file has %zu tensors, the model takes %zu of them", t->weights.n,
              t->used);
    return false;
}

err_code run_tensors_commit(run_tensors *t, const run_spec *spec, error *err)
{
    char *text = reader_run_text(spec);
    err_code code =
        text ? ERR_OK : error_set(err, ERR_MEMORY, "", "not enough memory for the weights file");
    if (!code && t->has_save) code = safetensors_commit(&t->save, text, err);
    if (!code && t->has_dump) code = safetensors_commit(&t->dump, text, err);
    free(text);
    return code;
}

#include "server/queue/intake.h"

#include <stdlib.h>
#include <string.h>

void intake_begin(intake *in, uint64_t max_rows, int max_steps)
{
    *in = (intake){.max_rows = max_rows, .max_steps = (size_t)max_steps + 1};
}

void intake_free(intake *in)
{
    for (size_t i = 0; i < in->n_params; i++) free(in->params[i]);
    free(in->params);
    free(in->rows);
    free(in->predictions);
    free(in->steps);
    free(in->provenance);
    *in = (intake){0};
}

static err_code garbage(error *err, const char *what)
{
    return error_set(err, ERR_WORKER, "", "%s", what);
}

static err_code no_memory(error *err)
{
    return error_set(err, ERR_MEMORY, "", "no memory for the results of a run");
}

/* Room for `more` items of `size` bytes behind n. Grows by doubling, as things arrive. */
static err_code make_room(void **items, size_t *cap, size_t n, size_t more, size_t size, error *err)
{
    if (more <= *cap - n) return ERR_OK;
    size_t want = *cap ? *cap : 256;
    while (want - n < more) want *= 2;
    void *grown = reallocarray(*items, want, size);
    if (!grown) return no_memory(err);
    *items = grown;
    *cap = want;
    return ERR_OK;
}

static bool is_name(const unsigned char *p, size_t n)
{
    for (size_t i = 0; i < n; i++)
        if (!(p[i] >= 'a' && p[i] <= 'z') && !(p[i] >= '0' && p[i] <= '9') && p[i] != '_' &&
            p[i] != '.')
            return false;
    return n > 0 && n < FRAME_PARAM_NAME;
}

err_code intake_params(intake *in, const frame_buffer *b, error *err)
{
    if (!in->params) in->params = calloc(FRAME_PARAMS_MAX, sizeof *in->params);
    if (!in->params) return no_memory(err);
    for (size_t at = 0; at < b->n;) {
        size_t n = b->bytes[at++];
        if (n > b->n - at || !is_name(b->bytes + at, n))
            return garbage(err, "it sent a parameter without a name");
        if (in->n_params == FRAME_PARAMS_MAX)
            return garbage(err, "it sent too many parameter names");
        char *name = strndup((const char *)b->bytes + at, n);
        if (!name) return no_memory(err);
        in->params[in->n_params++] = name;
        at += n;
    }
    return ERR_OK;
}

err_code intake_rows(intake *in, const frame_buffer *b, error *err)
{
    size_t n = b->n / FRAME_RECORD;
    if (b->n % FRAME_RECORD != 0) return garbage(err, "it sent half a measurement");
    if (n > in->max_rows - in->n_rows)
        return garbage(err, "it sent more measurements than the run can have");
    err_code code =
        make_room((void **)&in->rows, &in->cap_rows, in->n_rows, n, sizeof *in->rows, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        uint16_t param;
        measurement *m = &in->rows[in->n_rows];
        code = frame_get_measurement(m, &param, b->bytes + i * FRAME_RECORD, in->n_params, err);
        if (code != ERR_OK) break;
        if (param) m->param = in->params[param - 1];
        in->n_rows++;
    }
    return code;
}

/* At most one for each number of one step, and one for each metric. */
err_code intake_predictions(intake *in, const frame_buffer *b, error *err)
{
    size_t n = b->n / FRAME_PREDICT_RECORD, most = in->max_rows + METRIC_COUNT;
    if (b->n % FRAME_PREDICT_RECORD != 0) return garbage(err, "it sent half a prediction");
    if (n > most - in->n_predictions)
        return garbage(err, "it sent more predictions than the run can have");
    err_code code = make_room((void **)&in->predictions, &in->cap_predictions, in->n_predictions, n,
                              sizeof *in->predictions, err);
    for (size_t i = 0; i < n && code == ERR_OK; i++) {
        prediction *p = &in->predictions[in->n_predictions];
        uint16_t param;
        code =
            frame_get_prediction(p, &param, b->bytes + i * FRAME_PREDICT_RECORD, in->n_params, err);
        if (code != ERR_OK) break;
        if (param) p->param = in->params[param - 1];
        in->n_predictions++;
    }
    return code;
}

err_code intake_steps(intake *in, const frame_buffer *b, error *err)
{
    size_t n = b->n / FRAME_STEP_RECORD;
    if (b->n % FRAME_STEP_RECORD != 0) return garbage(err, "it sent half a step");
    if (n > in->max_steps - in->n_steps) return garbage(err, "it sent more steps than the run has");
    err_code code =
        make_room((void **)&in->steps, &in->cap_steps, in->n_steps, n, sizeof *in->steps, err);
    if (code != ERR_OK) return code;
    for (size_t i = 0; i < n; i++)
        frame_get_step(&in->steps[in->n_steps++], b->bytes + i * FRAME_STEP_RECORD);
    return ERR_OK;
}

err_code intake_done(intake *in, const frame_buffer *b, error *err)
{
    in->provenance = malloc(FRAME_TEXT_MAX + 1);
    if (!in->provenance) return no_memory(err);
    return frame_get_done(&in->summary, &in->wall_ms, in->provenance, b, err);
}

run_result intake_result(const intake *in)
{
    return (run_result){.summary = in->summary,
                        .measurements = in->rows,
                        .n_measurements = in->n_rows,
                        .predictions = in->predictions,
                        .n_predictions = in->n_predictions,
                        .steps = in->steps,
                        .n_steps = in->n_steps,
                        .wall_ms = in->wall_ms,
                        .provenance = in->provenance};
}

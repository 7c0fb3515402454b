#include "server/command/run_output.h"

#include <errno.h>
#include <math.h>
#include <string.h>

enum { FLUSH_AT = 1 << 16 };

const char *const run_format_names[RUN_FORMATS] = {"json", "csv", "ndjson"};

static void flush(run_output *o, size_t at_least)
{
    if (o->text.n < at_least || !o->text.n) return;
    o->written = true;
    if (!o->broken && fwrite(o->text.text, 1, o->text.n, o->to) != o->text.n) o->broken = true;
    /* Only the bytes go: what is open and whether a comma comes next stays. */
    o->text.n = 0;
}

static void columns(json_out *o, const char *key, const char *const *names, int n)
{
    json_array_member(o, key);
    for (int i = 0; i < n; i++) json_string(o, names[i]);
    json_end(o);
}

/* --- the whole -------------------------------------------------------------------------------- */

static void begin_json(run_output *o, const char *provenance)
{
    static const char *const names[] = {"run_id", "seed",  "arm",   "step",   "layer", "site",
                                        "metric", "param", "value", "reason", "item",  "item_kind"};
    json_begin_object(&o->text);
    json_string_member(&o->text, "name", o->job->name);
    json_string_member(&o->text, "hash", o->job->hash);
    json_raw_member(&o->text, "resolved", o->job->resolved);
    json_raw_member(&o->text, "provenance", provenance);
    columns(&o->text, "columns", names, sizeof names / sizeof *names);
    json_array_member(&o->text, "rows");
    json_begin_array(&o->steps);
    json_begin_array(&o->predictions);
    json_begin_array(&o->runs);
}

void run_output_begin(
    run_output *o, run_format format, FILE *to, const job *j, const char *provenance)
{
    *o = (run_output){.format = format, .to = to, .job = j};
    if (format == RUN_CSV)
        json_text(&o->text,
                  "run_id,seed,arm,step,layer,site,metric,param,value,reason,item,item_kind\n");
    else if (format == RUN_JSON)
        begin_json(o, provenance);
}

static void write_failure(json_out *to, const error *failure)
{
    json_object_member(to, "error");
    json_string_member(to, "code", error_name(failure->code));
    json_string_member(to, "pointer", failure->pointer);
    json_string_member(to, "message", failure->message);
    json_end(to);
}

static const char *const prediction_names[] = {"run_id", "layer",     "site", "metric", "param",
                                               "value",  "tolerance", "law",  "reason"};

static void end_json(run_output *o, const char *verdict, const error *failure)
{
    static const char *const names[] = {"run_id", "step", "loss", "lr", "grad_norm"};
    json_end(&o->text);
    json_end(&o->steps);
    json_end(&o->predictions);
    json_end(&o->runs);
    columns(&o->text, "step_columns", names, sizeof names / sizeof *names);
    json_raw_member(&o->text, "steps", o->steps.text);
    columns(&o->text, "prediction_columns", prediction_names,
            sizeof prediction_names / sizeof *prediction_names);
    json_raw_member(&o->text, "predictions", o->predictions.text);
    json_raw_member(&o->text, "runs", o->runs.text);
    json_raw_member(&o->text, "verdict", verdict);
    if (o->coordinates) json_raw_member(&o->text, "coordinates", o->coordinates);
    if (failure) write_failure(&o->text, failure);
    json_end(&o->text);
    json_text(&o->text, "\n");
}

static void end_text(run_output *o, const char *verdict, const error *failure)
{
    if (o->format == RUN_JSON) end_json(o, verdict, failure);
    if (o->format == RUN_NDJSON && verdict) {
        json_begin_object(&o->text);
        json_string_member(&o->text, "type", "verdict");
        json_raw_member(&o->text, "verdict", verdict);
        json_end(&o->text);
        json_text(&o->text, "\n");
    }
    if (o->format == RUN_NDJSON && o->coordinates) {
        json_begin_object(&o->text);
        json_string_member(&o->text, "type", "coordinates");
        json_raw_member(&o->text, "coordinates", o->coordinates);
        json_end(&o->text);
        json_text(&o->text, "\n");
    }
    if (o->format != RUN_NDJSON || !failure) return;
    json_begin_object(&o->text);
    json_string_member(&o->text, "type", "error");
    write_failure(&o->text, failure);
    json_end(&o->text);
    json_text(&o->text, "\n");
}

err_code run_output_end(run_output *o, const char *verdict, const error *failure, error *err)
{
    err_code code = ERR_OK;
    if (!failure || o->written) {
        end_text(o, verdict, failure);
        flush(o, 0);
    }
    if (o->text.failed || o->steps.failed || o->predictions.failed || o->runs.failed ||
        o->head.failed)
        code = error_set(err, ERR_MEMORY, "", "not enough memory for the results");
    else if (fflush(o->to) != 0 || o->broken || ferror(o->to))
        code = error_set(err, ERR_IO, "", "cannot write the results: %s", strerror(errno));
    json_deinit(&o->text);
    json_deinit(&o->steps);
    json_deinit(&o->predictions);
    json_deinit(&o->runs);
    json_deinit(&o->head);
    return code;
}

/* --- one run ---------------------------------------------------------------------------------- */

void run_output_run(run_output *o, int index)
{
    const job_run *run = &o->job->runs[index];
    o->run = index;
    json_reset(&o->head);
    if (o->format == RUN_CSV) {
        json_integer(&o->head, index);
        json_text(&o->head, ",");
        json_unsigned(&o->head, run->spec.seed);
        json_text(&o->head, ",");
        json_csv_string(&o->head, run->arm);
        json_text(&o->head, ",");
    } else if (o->format == RUN_NDJSON) {
        json_begin_object(&o->text);
        json_string_member(&o->text, "type", "run");
        json_integer_member(&o->text, "run_id", index);
        json_key(&o->text, "seed");
        json_unsigned(&o->text, run->spec.seed);
        json_raw_member(&o->text, "arm", run->arm);
        json_integer_member(&o->text, "parameters", (int64_t)run->cost.parameters);
        json_end(&o->text);
        json_text(&o->text, "\n");
    }
}

static void csv_row(run_output *o, const measurement *m)
{
    json_bytes(&o->text, o->head.text, o->head.n);
    json_integer(&o->text, m->step);
    json_text(&o->text, ",");
    json_integer(&o->text, m->layer);
    json_text(&o->text, ",");
    json_text(&o->text, site_registry.rows[m->site]->name);
    json_text(&o->text, ",");
    json_text(&o->text, metric_registry.rows[m->metric]->name);
    json_text(&o->text, ",");
    if (m->param) json_csv_string(&o->text, m->param);
    json_text(&o->text, ",");
    json_csv_number(&o->text, m->value, m->reason);
    json_text(&o->text, ",");
    json_text(&o->text, reason_name(m->reason));
    json_text(&o->text, ",");
    if (m->item) json_integer(&o->text, m->item);
    json_text(&o->text, ",");
    json_text(&o->text, item_name(m->item_kind));
    json_text(&o->text, "\n");
}

static const char *reason_or_null(reason why)
{
    return why == REASON_NONE ? NULL : reason_name(why);
}

static void json_row(run_output *o, const measurement *m)
{
    const job_run *run = &o->job->runs[o->run];
    json_begin_array(&o->text);
    json_integer(&o->text, o->run);
    json_unsigned(&o->text, run->spec.seed);
    json_raw(&o->text, run->arm);
    json_integer(&o->text, m->step);
    json_integer(&o->text, m->layer);
    json_string(&o->text, site_registry.rows[m->site]->name);
    json_string(&o->text, metric_registry.rows[m->metric]->name);
    json_string(&o->text, m->param);
    json_number(&o->text, m->value, m->reason);
    json_string(&o->text, reason_or_null(m->reason));
    if (m->item)
        json_integer(&o->text, m->item);
    else
        json_null(&o->text);
    json_string(&o->text, m->item ? item_name(m->item_kind) : NULL);
    json_end(&o->text);
}

static void ndjson_row(run_output *o, const measurement *m)
{
    json_begin_object(&o->text);
    json_string_member(&o->text, "type", "measurement");
    json_integer_member(&o->text, "run_id", o->run);
    json_integer_member(&o->text, "step", m->step);
    json_integer_member(&o->text, "layer", m->layer);
    json_string_member(&o->text, "site", site_registry.rows[m->site]->name);
    json_string_member(&o->text, "metric", metric_registry.rows[m->metric]->name);
    json_string_member(&o->text, "param", m->param);
    json_key(&o->text, "value");
    json_number(&o->text, m->value, m->reason);
    json_string_member(&o->text, "reason", reason_or_null(m->reason));
    if (m->item) {
        json_integer_member(&o->text, "item", m->item);
        json_string_member(&o->text, "item_kind", item_name(m->item_kind));
    }
    json_end(&o->text);
    json_text(&o->text, "\n");
}

void run_output_measure(run_output *o, const measurement *m, size_t n)
{
    for (size_t i = 0; i < n; i++) {
        if (o->format == RUN_CSV)
            csv_row(o, &m[i]);
        else if (o->format == RUN_JSON)
            json_row(o, &m[i]);
        else
            ndjson_row(o, &m[i]);
        flush(o, FLUSH_AT);
    }
}

static void json_prediction(run_output *o, const prediction *p)
{
    json_out *to = &o->predictions;
    json_begin_array(to);
    json_integer(to, o->run);
    json_integer(to, p->layer);
    json_string(to, site_registry.rows[p->site]->name);
    json_string(to, metric_registry.rows[p->metric]->name);
    json_string(to, p->param);
    json_number(to, p->value, p->reason);
    json_double(to, p->tolerance);
    json_string(to, law_registry.rows[p->law]->name);
    json_string(to, reason_or_null(p->reason));
    json_end(to);
}

static void ndjson_prediction(run_output *o, const prediction *p)
{
    json_begin_object(&o->text);
    json_string_member(&o->text, "type", "prediction");
    json_integer_member(&o->text, "run_id", o->run);
    json_integer_member(&o->text, "layer", p->layer);
    json_string_member(&o->text, "site", site_registry.rows[p->site]->name);
    json_string_member(&o->text, "metric", metric_registry.rows[p->metric]->name);
    json_string_member(&o->text, "param", p->param);
    json_key(&o->text, "value");
    json_number(&o->text, p->value, p->reason);
    json_number_member(&o->text, "tolerance", p->tolerance);
    json_string_member(&o->text, "law", law_registry.rows[p->law]->name);
    json_string_member(&o->text, "reason", reason_or_null(p->reason));
    json_end(&o->text);
    json_text(&o->text, "\n");
}

void run_output_predict(run_output *o, const prediction *p, size_t n)
{
    for (size_t i = 0; i < n && o->format != RUN_CSV; i++) {
        if (o->format == RUN_JSON)
            json_prediction(o, &p[i]);
        else
            ndjson_prediction(o, &p[i]);
        flush(o, FLUSH_AT);
    }
}

/* grad_norm is NaN when no gradient was asked for: null, not a result. */
static void write_grad_norm(json_out *o, const step_record *s)
{
    if (isnan(s->grad_norm) && isfinite(s->loss))
        json_null(o);
    else
        json_double(o, s->grad_norm);
}

void run_output_step(run_output *o, const step_record *s)
{
    if (o->format == RUN_JSON) {
        json_begin_array(&o->steps);
        json_integer(&o->steps, o->run);
        json_integer(&o->steps, s->step);
        json_double(&o->steps, s->loss);
        json_double(&o->steps, s->lr);
        write_grad_norm(&o->steps, s);
        json_end(&o->steps);
    } else if (o->format == RUN_NDJSON) {
        json_begin_object(&o->text);
        json_string_member(&o->text, "type", "step");
        json_integer_member(&o->text, "run_id", o->run);
        json_integer_member(&o->text, "step", s->step);
        json_number_member(&o->text, "loss", s->loss);
        json_number_member(&o->text, "lr", s->lr);
        json_key(&o->text, "grad_norm");
        write_grad_norm(&o->text, s);
        json_end(&o->text);
        json_text(&o->text, "\n");
        flush(o, FLUSH_AT);
    }
}

static void write_end(json_out *to,
                      const run_output *o,
                      const run_summary *s,
                      double wall_ms,
                      const char *corpus_hash)
{
    const job_run *run = &o->job->runs[o->run];
    json_integer_member(to, "run_id", o->run);
    json_key(to, "seed");
    json_unsigned(to, run->spec.seed);
    json_raw_member(to, "arm", run->arm);
    json_integer_member(to, "parameters", (int64_t)run->cost.parameters);
    json_number_member(to, "flops", run->cost.flops);
    json_integer_member(to, "peak_bytes", (int64_t)run->cost.peak_bytes);
    json_number_member(to, "wall_ms", wall_ms);
    json_integer_member(to, "steps_done", s->steps_done);
    json_bool_member(to, "diverged", s->diverged);
    if (s->diverged) {
        bool located = s->diverged_layer >= 0;
        json_integer_member(to, "diverged_step", s->diverged_step);
        json_key(to, "diverged_layer");
        if (located)
            json_integer(to, s->diverged_layer);
        else
            json_null(to);
        json_string_member(to, "diverged_site",
                           located ? site_registry.rows[s->diverged_site]->name : NULL);
        json_string_member(to, "diverged_pass", s->diverged_backward ? "backward" : "forward");
    }
    if (*run->spec.data.corpus) {
        json_string_member(to, "corpus", run->spec.data.corpus);
        json_string_member(to, "corpus_hash", corpus_hash);
    }
}

void run_output_run_end(run_output *o,
                        const run_summary *s,
                        double wall_ms,
                        const char *corpus_hash,
                        const char *verdict)
{
    if (o->format == RUN_CSV) return;
    json_out *to = o->format == RUN_JSON ? &o->runs : &o->text;
    json_begin_object(to);
    if (o->format == RUN_NDJSON) json_string_member(to, "type", "end");
    write_end(to, o, s, wall_ms, corpus_hash);
    json_raw_member(to, "verdict", verdict);
    json_end(to);
    if (o->format == RUN_NDJSON) json_text(to, "\n");
    flush(o, FLUSH_AT);
}

void run_output_skipped(run_output *o, int index)
{
    const job_run *run = &o->job->runs[index];
    if (o->format == RUN_CSV) return;
    json_out *to = o->format == RUN_JSON ? &o->runs : &o->text;
    json_begin_object(to);
    if (o->format == RUN_NDJSON) json_string_member(to, "type", "end");
    json_integer_member(to, "run_id", index);
    json_key(to, "seed");
    json_unsigned(to, run->spec.seed);
    json_raw_member(to, "arm", run->arm);
    json_bool_member(to, "skipped", true);
    json_end(to);
    if (o->format == RUN_NDJSON) json_text(to, "\n");
}

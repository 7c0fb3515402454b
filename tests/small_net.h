/* Small networks that a test describes in words: a strategy of the catalogue, the fields it
 * changes, what it does to the weights. float64, eps = 0, weights of tests/pattern.h, one forward
 * and backward pass (or a few updates) with every value and gradient kept.
 */
#ifndef TESTS_SMALL_NET_H
#define TESTS_SMALL_NET_H

#include "server/job/reader.h"
#include "tests/record.h"
#include "tests/tolerance.h"

enum { SMALL_DEPTH = 3, SMALL_TOKENS = 7, SMALL_WIDTH = 12, SMALL_HEADS = 2 };

/* Called for every tensor of the run before the first pass, after the pattern. */
typedef void small_change(const run_spec *spec, const tensor_view *t);

/* What is NULL or 0 keeps what stands after the colon. */
typedef struct small_net {
    const char *name;       /* row of the catalogue: pre_ln */
    const char *norm;       /* as the row has it, else layernorm */
    const char *mask;       /* causal */
    const char *position;   /* learned */
    const char *activation; /* relu */
    bool bias, tied;
    const char *model;    /* further members of model, each after a comma: "" */
    const char *strategy; /* likewise */
    const char *job;      /* likewise, of the job */
    int depth;            /* SMALL_DEPTH */
    int steps;            /* updates; probed before the first and after the last: 0 */
    bool own_weights;     /* the weights of the engine's init */
    const char *scaled;   /* role without ".weight" whose parameters are scaled: "attn.v" */
    double scale;         /* by this */
    small_change *change; /* NULL */
} small_net;

typedef struct small_run {
    job j;
    record r;
    small_net s;
} small_run;

static inline const char *small_either(const char *a, const char *b)
{
    return a != NULL ? a : b;
}

/* "" unless there is a value. */
static inline const char *small_member(char *out, size_t n, const char *name, const char *value)
{
    snprintf(out, n, value != NULL ? ",\"%s\":\"%s\"" : "", name, value);
    return out;
}

static inline bool small_has_role(const char *name, const char *role)
{
    const char *at = strstr(name, role);
    return at != NULL && (at == name || at[-1] == '.') && strcmp(at + strlen(role), ".weight") == 0;
}

static inline void small_scale(const tensor_view *t, double by)
{
    for (size_t i = 0; i < pattern_count(t); i++) pattern_store(t, i, by * pattern_load(t, i));
}

static inline void small_set(const tensor_view *t, double value)
{
    for (size_t i = 0; i < pattern_count(t); i++) pattern_store(t, i, value);
}

static inline void small_edit(void *user, const run_spec *spec, const tensor_view *t)
{
    const small_net *s = user;
    if (!s->own_weights) pattern_fill(spec, t, false);
    if (s->scaled != NULL && small_has_role(t->name, s->scaled)) small_scale(t, s->scale);
    if (s->change != NULL) s->change(spec, t);
}

static inline err_code small_read(job *j, const char *text, error *err)
{
    limits lim = {
        .body_bytes = 1 << 18, .runs = 1, .peak_bytes = 1 << 30, .flops = 1e12, .depth = 64};
    *err = (error){0};
    job_init(j);
    return reader_job(text, strlen(text), &lim, j, err);
}

static inline void small_resolve(job *j, const char *text)
{
    error err;
    if (small_read(j, text, &err) != ERR_OK)
        ck_abort_msg("%s: %s\n%s", err.pointer, err.message, text);
}

static inline void small_start(small_run *run, small_net s)
{
    char text[2048], norm[64];
    snprintf(
        text, sizeof text,
        "{\"model\":{\"mask\":\"%s\",\"d_model\":%d,\"n_heads\":%d,\"d_ff\":20,\"vocab\":17,"
        "\"position\":\"%s\",\"activation\":\"%s\",\"bias\":%s,\"tied\":%s,"
        "\"embed_scale\":1%s},"
        "\"strategy\":{\"name\":\"%s\",\"eps\":0%s%s},\"depth\":%d,"
        "\"data\":{\"source\":\"random_tokens\",\"batch\":3,\"seq_len\":%d,\"batches\":1},"
        "\"measure\":{\"sites\":[\"embed\",\"resid_mid\",\"resid_out\",\"final_norm\",\"param\"],"
        "\"metrics\":[\"rms\",\"grad_norm\",\"param_grad_norm\"]},"
        "\"train\":{\"steps\":%d,\"lr\":0.01},\"seeds\":[0],\"precision\":\"float64\"%s}",
        small_either(s.mask, "causal"), SMALL_WIDTH, SMALL_HEADS,
        small_either(s.position, "learned"), small_either(s.activation, "relu"),
        s.bias ? "true" : "false", s.tied ? "true" : "false", small_either(s.model, ""),
        small_either(s.name, "pre_ln"), small_member(norm, sizeof norm, "norm", s.norm),
        small_either(s.strategy, ""), s.depth != 0 ? s.depth : SMALL_DEPTH, SMALL_TOKENS, s.steps,
        small_either(s.job, ""));
    run->s = s;
    small_resolve(&run->j, text);
    record_run(&run->r, &engine_f64, &run->j.runs[0].spec, 1, true, small_edit, &run->s);
}

static inline void small_end(small_run *run)
{
    record_deinit(&run->r);
    job_deinit(&run->j);
}

static inline double small_loss(const small_run *run)
{
    return run->r.steps[0].loss;
}

/* The weight at the end, which is the one of step 0 where there are no updates. */
static inline const record_tensor *small_weight(const small_run *run, const char *name)
{
    return record_need(&run->r, TENSOR_FINAL, -1, name);
}

static inline const record_tensor *small_gradient(const small_run *run, int step, const char *name)
{
    char grad[112];
    snprintf(grad, sizeof grad, "grad.%s", name);
    return record_need(&run->r, TENSOR_PROBE, step, grad);
}

static inline const record_tensor *small_value(const small_run *run, int layer, const char *place)
{
    char name[64];
    snprintf(name, sizeof name, "act.%d.%s", layer, place);
    return record_need(&run->r, TENSOR_PROBE, 0, name);
}

static inline double small_dot(const record_tensor *a, const record_tensor *b)
{
    double sum = 0;
    ck_assert_uint_eq(a->n, b->n);
    for (size_t i = 0; i < a->n; i++) sum += a->data[i] * b->data[i];
    return sum;
}

/* Largest |mean of squares of a token - wanted| over the ends of the blocks. */
static inline double small_mean_square_error(const small_run *run, double wanted)
{
    double worst = 0;
    for (int l = 1; l <= run->j.runs[0].spec.depth; l++) {
        const record_tensor *x = small_value(run, l, "resid_out");
        size_t D = x->dims[x->rank - 1];
        for (size_t t = 0; t < x->n / D; t++) {
            double square = 0;
            for (size_t i = 0; i < D; i++) square += x->data[t * D + i] * x->data[t * D + i];
            worst = fmax(worst, fabs(square / (double)D - wanted));
        }
    }
    return worst;
}

static inline void small_holds(const char *who, const char *what, double off)
{
    ck_assert_msg(off <= TOLERANCE_IDENTITY, "%s: %s: off by %.3g", who, what, off);
}

static inline void small_must_fail(const char *who, const char *what, double off)
{
    ck_assert_msg(off >= COUNTER_EXAMPLE, "%s: %s: holds to %.3g where it must not", who, what,
                  off);
}

#endif

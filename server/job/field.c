#include "server/job/field.h"

#include <math.h>
#include <stdio.h>
#include <string.h>

#include "server/job/hf_config.h"
#include "server/job/strategy.h"
#include "server/text/json_out.h"
#include "server/verdict/rule.h"

#define MEMBER(member) .offset = offsetof(run_spec, member), .size = sizeof(((run_spec *)0)->member)

const field field_table[FIELD_COUNT] = {
#define GROUP(name_, shorthand_, doc_)
#define FIELD(group_, name_, type_, ...)                                                           \
    {.group = #group_, .name = #name_, .type = FIELD_##type_, MEMBER(group_.name_), __VA_ARGS__},
#define TOP(name_, type_, ...)                                                                     \
    {.group = "", .name = #name_, .type = FIELD_##type_, MEMBER(name_), __VA_ARGS__},
#define EXTRA(group_, name_, type_, ...)                                                           \
    {.group = #group_, .name = #name_, .type = FIELD_##type_, __VA_ARGS__},
#include "server/job/field.def"
#undef GROUP
#undef FIELD
#undef TOP
#undef EXTRA
};

const field_group field_groups[] = {
#define GROUP(name, shorthand, doc) {#name, #shorthand, doc},
#define FIELD(group, name, type, ...)
#define TOP(name, type, ...)
#define EXTRA(group, name, type, ...)
#include "server/job/field.def"
#undef GROUP
#undef FIELD
#undef TOP
#undef EXTRA
};
const int field_n_groups = sizeof field_groups / sizeof *field_groups;

/* --- choices that belong to no part of the engine --------------------------------------------- */

static const entry *const masks[] = {
    [MASK_CAUSAL] = &(const entry){.name = "causal",
                                   .summary = "a position attends to itself and those before it"},
    [MASK_BIDIRECTIONAL] =
        &(const entry){.name = "bidirectional", .summary = "a position attends to all"},
};
static const entry *const decays[] = {
    [DECAY_MATRICES] = &(const entry){.name = "matrices",
                                      .summary = "matrices and embeddings; no gains, no biases"},
    [DECAY_ALL] = &(const entry){.name = "all", .summary = "every parameter"},
};
static const entry *const parametrizations[] = {
    [PARAMETRIZATION_STANDARD] =
        &(const entry){.name = "standard", .summary = "as the init and the learning rate say"},
    [PARAMETRIZATION_MUP] =
        &(const entry){.name = "mup",
                       .summary = "maximal update: with m = d_model / base_width block matrices "
                                  "start 1/sqrt(m) smaller and learn at 1/m the rate (adamw), "
                                  "logits are divided by m, attention by d_k in place of its root",
                       .source = "arXiv:2203.03466"},
};
static const entry *const precisions[] = {
    [PRECISION_FLOAT32] = &(const entry){.name = "float32", .summary = "IEEE 754 binary32"},
    [PRECISION_FLOAT64] =
        &(const entry){.name = "float64", .summary = "IEEE 754 binary64, for exact comparisons"},
};
#define ROW(name_, summary_)                                                                       \
    &(const entry)                                                                                 \
    {                                                                                              \
        .name = name_, .summary = summary_                                                         \
    }
static const entry *const spans[] = {
    [SPAN_HEAD] = ROW("head", "over the features of one head"),
    [SPAN_JOINT] = ROW("joint", "over the features of all heads at once"),
};
static const entry *const logit_scales[] = {
    [LOGITS_INV_SQRT] = ROW("inv_sqrt", "1/sqrt(d_k), as usual"),
    [LOGITS_ONE] = ROW("one", "1: q.k as it is"),
    [LOGITS_SQRT] = ROW("sqrt", "sqrt(d_k), for queries and keys of length 1"),
    [LOGITS_COSINE] =
        ROW("cosine", "exp(min(tau_h, ln 100)), tau_h learned per head, starts at ln 10"),
};
static const entry *const sigmas[] = {
    [SIGMA_LIVE] = ROW("live", "the deviation of each token"),
    [SIGMA_FROZEN] =
        ROW("frozen", "one constant per norm, measured in a pass before the first step"),
};
static const entry *const divisors[] = {
    [DIVISOR_BATCH] = ROW("batch", "the statistic of this batch, as released"),
    [DIVISOR_FORWARD] = ROW("forward", "what the forward pass divided by"),
};
static const entry *const branch_gains[] = {
    [BRANCH_GAIN_NONE] = ROW("none", "branches have no learned factor"),
    [BRANCH_GAIN_LAYER] = ROW("layer", "one number shared by both branches of a block"),
    [BRANCH_GAIN_SCALAR] = ROW("scalar", "one number per branch"),
    [BRANCH_GAIN_CHANNEL] = ROW("channel", "one number per branch and feature"),
};
static const entry *const depth_rules[] = {
    [RULE_CONSTANT] = ROW("constant", "1 in every block"),
    [RULE_INV_SQRT_DEPTH] = ROW("inv_sqrt_depth", "1/sqrt(L)"),
    [RULE_INV_DEPTH] = ROW("inv_depth", "1/L"),
    [RULE_INV_SQRT_SUBLAYERS] = ROW("inv_sqrt_sublayers", "1/sqrt(2 L)"),
    [RULE_INV_SQRT_LAYER] = ROW("inv_sqrt_layer", "1/sqrt(l) in block l"),
};
static const entry *const round_scales[] = {
    [ROUND_TENSOR] = ROW("tensor", "one sequence of an activation or gradient; a whole matrix"),
    [ROUND_ROW] = ROW("row", "one token; one output feature of a matrix"),
};
#undef ROW
static const registry own[] = {
    {"masks", "what a position may attend to", masks, 2},
    {"spans", "what a norm of queries and keys runs over", spans, 2},
    {"logit_scales", "factor on q.k in the attention", logit_scales, 4},
    {"sigmas", "what a norm divides by", sigmas, 2},
    {"divisors", "what the backward pass of powernorm divides by", divisors, 2},
    {"branch_gains", "learned factors on branches", branch_gains, 4},
    {"depth_rules", "factors that depend on the depth L or the block l", depth_rules, 5},
    {"parametrizations", "how training goes with the width", parametrizations, 2},
    {"round_scales", "what shares a scale of int8", round_scales, 2},
    {"decays", "which parameters decay", decays, 2},
    {"precisions", "arithmetic of a run", precisions, 2},
};
enum { N_OWN = sizeof own / sizeof *own };

const registry *field_registry_at(int i)
{
    int n = 0;
    while (engine_f32.registries[n]) n++;
    if (i < n) return engine_f32.registries[i];
    if (i - n < N_OWN) return &own[i - n];
    static const registry *const last[] = {&strategy_registry, &hf_model_registry, &rule_registry};
    i -= n + N_OWN;
    return i < (int)(sizeof last / sizeof *last) ? last[i] : NULL;
}

const registry *field_registry(const char *kind)
{
    const registry *r;
    for (int i = 0; (r = field_registry_at(i)); i++)
        if (strcmp(r->kind, kind) == 0) return r;
    return NULL;
}

/* --- lookup ----------------------------------------------------------------------------------- */

int field_find(const char *group, const char *name)
{
    for (int i = 0; i < FIELD_COUNT; i++)
        if (strcmp(field_table[i].group, group) == 0 && strcmp(field_table[i].name, name) == 0)
            return i;
    return -1;
}

int field_group_find(const char *name)
{
    for (int i = 0; i < field_n_groups; i++)
        if (strcmp(field_groups[i].name, name) == 0) return i;
    return -1;
}

int field_shorthand(int group)
{
    const field_group *g = &field_groups[group];
    return *g->shorthand ? field_find(g->name, g->shorthand) : -1;
}

bool field_sweepable(const field *f)
{
    return f->type != FIELD_NAME && f->type != FIELD_HF_CONFIG && f->type != FIELD_SEEDS &&
           f->type != FIELD_SWEEP && f->type != FIELD_EXPECT && f->type != FIELD_FIND;
}

void field_path(char out[FIELD_PATH], const field *f)
{
    snprintf(out, FIELD_PATH, "%s%s%s", f->group, *f->group ? "." : "", f->name);
}

/* --- what is allowed -------------------------------------------------------------------------- */

/* Appends at *n what fits; false when it did not. */
static bool append(char *out, size_t size, size_t *n, const char *text)
{
    static const char more[] = " …";
    size_t length = strlen(text);
    if (*n + length + sizeof more > size) {
        memcpy(out + *n, more, sizeof more);
        return false;
    }
    memcpy(out + *n, text, length + 1);
    *n += length;
    return true;
}

static void allowed_names(char *out, size_t size, const field *f)
{
    const registry *r = field_registry(f->choices);
    size_t n = 0;
    out[0] = '\0';
    for (int i = 0; r && i < r->n; i++) {
        if (i && !append(out, size, &n, ", ")) return;
        if (!append(out, size, &n, r->rows[i]->name)) return;
    }
}

static void allowed_numbers(char *out, size_t size, const field *f, double max)
{
    char low[JSON_NUMBER], high[JSON_NUMBER];
    bool whole = f->type != FIELD_NUMBER && f->type != FIELD_SCALE;
    json_number_text(low, f->min);
    json_number_text(high, max);
    snprintf(out, size, "%s %s%s %s%s%s", whole ? "integers" : "numbers",
             f->open_min ? "above " : "", low, f->open_max ? "to below " : "to ", high,
             f->nullable ? ", or null" : "");
}

void field_allowed(char *out, size_t size, const field *f, int depth_max)
{
    switch (f->type) {
    case FIELD_INTEGER:
    case FIELD_NUMBER:
    case FIELD_SCALE:
        allowed_numbers(out, size, f, f->max);
        break;
    case FIELD_DEPTH:
        allowed_numbers(out, size, f, depth_max ? depth_max : f->max);
        break;
    case FIELD_BOOL:
        snprintf(out, size, "true, false");
        break;
    case FIELD_CHOICE:
        allowed_names(out, size, f);
        break;
    case FIELD_TEXT:
        snprintf(out, size, "1 to 63 letters, digits and . _ -");
        break;
    case FIELD_STEPS:
        snprintf(out, size, "a list of up to 64 ascending integers from 0");
        break;
    case FIELD_SITES:
        snprintf(out, size, "a list of sites");
        break;
    case FIELD_METRICS:
        snprintf(out, size, "a list of metrics and metric groups");
        break;
    case FIELD_NUMBERS:
        snprintf(out, size, "a list of up to %d numbers", SPEC_SCALES_MAX);
        break;
    case FIELD_OVERRIDES:
        snprintf(out, size, "a list of up to %d objects", SPEC_OVERRIDES_MAX);
        break;
    case FIELD_STRATEGY:
        snprintf(out, size, "a strategy's name");
        break;
    case FIELD_NAME:
        snprintf(out, size, "a text of at most 120 characters");
        break;
    case FIELD_PRESET:
        snprintf(out, size, "a preset's name, or what it would stand for: a part of a job");
        break;
    case FIELD_HF_CONFIG:
        snprintf(out, size, "the object of a config.json");
        break;
    case FIELD_SEEDS:
        snprintf(out, size, "a list of 1 to 64 different integers from 0 to 2^53-1");
        break;
    case FIELD_SWEEP:
        snprintf(out, size, "an object of field paths and lists of values");
        break;
    case FIELD_EXPECT:
        snprintf(out, size, "a list of up to %d objects", RULE_EXPECT_MAX);
        break;
    case FIELD_FIND:
        snprintf(out, size, "\"max_depth\", or an object with max_depth and min_depth");
        break;
    }
}

const char *field_needs(const field *f)
{
    for (int u = 0; u < USE_COUNT; u++)
        if (f->use & (use_set)1 << u) return use_sentence((use)u);
    return NULL;
}

/* --- the part of a spec ----------------------------------------------------------------------- */

void field_copy(run_spec *to, const run_spec *from, const field *f)
{
    memcpy((char *)to + f->offset, (const char *)from + f->offset, f->size);
    if (f->type == FIELD_STEPS) to->measure.n_steps = from->measure.n_steps;
    if (f->type == FIELD_NUMBERS) to->strategy.n_residual_scales = from->strategy.n_residual_scales;
    if (f->type == FIELD_OVERRIDES) to->strategy.n_overrides = from->strategy.n_overrides;
}

bool field_equal(const run_spec *a, const run_spec *b, const field *f)
{
    const spec_strategy *s = &a->strategy, *t = &b->strategy;
    if (f->type == FIELD_STEPS && a->measure.n_steps != b->measure.n_steps) return false;
    if (f->type == FIELD_NUMBERS && s->n_residual_scales != t->n_residual_scales) return false;
    if (f->type == FIELD_OVERRIDES && s->n_overrides != t->n_overrides) return false;
    if (f->type == FIELD_NUMBER) {
        double x = *(const double *)((const char *)a + f->offset),
               y = *(const double *)((const char *)b + f->offset);
        return x == y || (isnan(x) && isnan(y));
    }
    return memcmp((const char *)a + f->offset, (const char *)b + f->offset, f->size) == 0;
}

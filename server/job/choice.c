#include "server/job/choice.h"

#include "server/job/hf_model.h"
#include "server/job/strategy.h"
#include "server/verdict/rule.h"

#include <string.h>

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

const registry *choice_registry_at(int i)
{
    int n = 0;
    while (engine_f32.registries[n]) n++;
    if (i < n) return engine_f32.registries[i];
    if (i - n < N_OWN) return &own[i - n];
    static const registry *const last[] = {&strategy_registry, &hf_model_registry, &rule_registry};
    i -= n + N_OWN;
    return i < (int)(sizeof last / sizeof *last) ? last[i] : NULL;
}

const registry *choice_registry(const char *kind)
{
    const registry *r;
    for (int i = 0; (r = choice_registry_at(i)); i++)
        if (strcmp(r->kind, kind) == 0) return r;
    return NULL;
}

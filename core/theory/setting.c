#include "core/theory/setting.h"

#include "core/data/data.h"
#include "core/loss/loss.h"
#include "core/model/model.h"
#include "core/model/weights.h"
#include "core/network/parametrization.h"
#include "core/network/strategy.h"
#include "core/placement/placement.h"
#include "core/position/position.h"
#include "core/theory/spread.h"

#include <math.h>
#include <string.h>

/* --- weights --- */

static const double PI = 3.14159265358979323846;

/* Variance of an entry. */
static double rule_var(init_rule r, double out, double in)
{
    double c = r.cut, scale = r.scale * r.scale;
    switch (r.law) {
    case INIT_ZERO:
        return 0;
    case INIT_NORMAL:
        return scale;
    case INIT_TRUNCATED:
        return scale * (1 - 2 * c * exp(-c * c / 2) / sqrt(2 * PI) / erf(c / sqrt(2.0)));
    case INIT_UNIFORM:
        return scale / 3;
    case INIT_ORTHOGONAL:
        return scale / fmax(out, in);
    }
    return scale;
}

static const placement *place_of(const run_spec *spec)
{
    return placement_table[spec->strategy.placement];
}

/* Mean square entry of a matrix or table [out, in]. */
static double
entry_var(const run_spec *spec, int layer, block_matrix which, param_kind kind, int out, int in)
{
    const placement *place = place_of(spec);
    param p = {.layer = layer,
               .kind = kind,
               .matrix = which,
               .rank = 2,
               .dims = {(size_t)out, (size_t)in},
               .count = (size_t)out * (size_t)in};
    param_projection project = place->projection ? place->projection(&p) : PROJECT_NONE;
    if (project == PROJECT_ROWS) return 1.0 / in;
    if (project == PROJECT_COLUMNS) return 1.0 / out;
    return rule_var(init_rule_of(spec, &p), out, in);
}

/* Rows and columns of a matrix of the blocks. */
static void shape_of(const run_spec *spec, block_matrix which, int *out, int *in)
{
    const spec_model *m = &spec->model;
    const int D = m->d_model, all = m->n_heads * m->head_dim, kv = m->n_kv_heads * m->head_dim,
              F = slot_units(spec);
    const int shapes[MATRIX_COUNT][2] = {
        [MATRIX_query] = {all, D},    [MATRIX_key] = {kv, D}, [MATRIX_value] = {kv, D},
        [MATRIX_attn_out] = {D, all}, [MATRIX_gate] = {F, D}, [MATRIX_up] = {F, D},
        [MATRIX_down] = {D, F},
    };
    *out = shapes[which][0], *in = shapes[which][1];
}

double setting_entry(const setting *s, int layer, block_matrix which, double *entries)
{
    int out, in;
    shape_of(s->spec, which, &out, &in);
    *entries = (double)out * in;
    return entry_var(s->spec, layer, which, block_matrix_kind(which), out, in);
}

/* What a matrix multiplies a kernel by. */
static double gain(const run_spec *spec, int layer, block_matrix which)
{
    int out, in;
    shape_of(spec, which, &out, &in);
    return in * entry_var(spec, layer, which, block_matrix_kind(which), out, in);
}

/* --- norms --- */

static norm_step step_of(const setting *s, spec_layer layer, double gain, double alpha, int width)
{
    const norm *n = norm_table[layer.norm];
    norm_step out = {.kind = STEP_ROW, .eps = layer.eps, .centres = n->law_centres};
    double rms = n->law_rms != 0 ? n->law_rms : 1;
    if (n->is_identity) return (norm_step){.kind = STEP_NONE};
    out.frozen = layer.sigma == SIGMA_FROZEN && n->frozen_input;
    if (!(n->has & 1u << NORM_GAIN) || !layer.affine) gain = 1;
    out.target = rms * rms * gain * gain;
    out.kept = 1 - (out.centres ? 2.0 : 1.0) / width;
    if (n->law == NORM_LAW_LENGTH) out.target /= width, out.eps = 0;
    if (n->law == NORM_LAW_LENGTH && n->scalar_gain && layer.affine) out.target *= width;
    if (n->law != NORM_LAW_TANH && n->law != NORM_LAW_ERF) return out;
    out.kind = STEP_POINT;
    out.curve = n->law == NORM_LAW_TANH ? &s->curve_tanh : &s->curve_erf;
    out.alpha_sq = alpha * alpha;
    return out;
}

/* The norm of placements on the unit sphere. */
static norm_step unit_step(int width)
{
    return (norm_step){.kind = STEP_ROW, .target = 1.0 / width, .kept = 1 - 1.0 / width};
}

typedef enum slot { SLOT_PLAIN, SLOT_OUTPUT } slot;

static norm_step
step_at(const setting *s, bool there, int layer, bool mlp, slot where, int width, bool unit)
{
    const run_spec *spec = s->spec;
    const spec_strategy *st = &spec->strategy;
    double gain = st->gain_init;
    if (!there) return (norm_step){.kind = STEP_NONE};
    if (unit) return unit_step(width);
    if (where == SLOT_OUTPUT)
        gain *= st->out_gain_init * strategy_depth_rule(st->out_gain_rule, spec->depth, layer);
    return step_of(s, strategy_layer(spec, layer), gain, mlp ? st->alpha_mlp : st->alpha_attn,
                   width);
}

norm_step setting_final(const setting *s)
{
    const run_spec *spec = s->spec;
    const spec_strategy *st = &spec->strategy;
    if (!st->final_norm) return (norm_step){.kind = STEP_NONE};
    return step_of(s, strategy_layer(spec, spec->depth + 1), st->gain_init, st->alpha_final,
                   spec->model.d_model);
}

/* --- is there a law? --- */

bool setting_one_matrix(const run_spec *spec)
{
    const branch *mlp = slot_mlp(spec);
    return mlp && mlp->one_matrix;
}

bool setting_is_mapped(const run_spec *spec)
{
    return setting_one_matrix(spec) || place_of(spec)->uses & USES(CHAIN);
}

/* A point-wise norm is followed where it reads a Gaussian: not what an activation leaves, or makes
 * of it. */
static bool norm_known(const run_spec *spec, int row)
{
    const norm *n = norm_table[row];
    if (n->law == NORM_LAW_TANH || n->law == NORM_LAW_ERF) return !setting_is_mapped(spec);
    return n->is_identity || n->law != NORM_LAW_NONE;
}

static bool norms_known(const run_spec *spec)
{
    const spec_strategy *st = &spec->strategy;
    if (!norm_known(spec, st->norm)) return false;
    for (int i = 0; i < st->n_overrides; i++)
        if (st->overrides[i].given & OVERRIDE_NORM &&
            !norm_known(spec, st->overrides[i].layer.norm))
            return false;
    bool heads = spec->model.qk_norm || spec->model.v_norm;
    return !heads || norm_known(spec, spec->model.qk_norm_type);
}

static const recipe *recipe_at(const run_spec *spec, int layer)
{
    const placement *p = place_of(spec);
    if (p->theory.kind) p = p->theory.kind(spec, layer);
    return &p->theory;
}

reason setting_reason(const run_spec *spec)
{
    const recipe *r = &place_of(spec)->theory;
    if (!model_table[spec->model.family]->has_theory) return REASON_NO_LAW_FAMILY;
    if (!r->known) return r->unknown ? r->unknown : REASON_NO_LAW_PLACEMENT;
    if (setting_one_matrix(spec) && (r->toward || r->profiled)) return REASON_NO_LAW_PLACEMENT;
    if (!norms_known(spec)) return REASON_NO_LAW_NORM;
    if (spec->model.v_norm && !spec->model.qk_norm && !r->attn.in) return REASON_NO_LAW_NORM;
    if (r->mixing == RECIPE_TARGET && spec->data.seq_len > TOKENS_MAX) return REASON_NO_LAW_LENGTH;
    return REASON_NONE;
}

/* --- stages --- */

static double of_layer(double (*f)(const run_spec *, int), const run_spec *spec, int layer)
{
    return f ? f(spec, layer) : 1;
}

static double branch_factor(const run_spec *spec, const recipe *r, int layer)
{
    const spec_strategy *st = &spec->strategy;
    double beta = of_layer(r->beta, spec, layer);
    if (r->no_skip || r->unit) return beta;
    if (st->branch_gain != BRANCH_GAIN_NONE) beta *= st->branch_gain_init;
    return beta * strategy_residual_scale(spec, layer);
}

static bool is_local(const spec_model *m, int layer)
{
    return m->window > 0 && (!m->global_every || layer % m->global_every);
}

/* What W_Q and W_K multiply a kernel by. */
static double query_gain(const run_spec *spec, int layer)
{
    return gain(spec, layer, MATRIX_query);
}

static double key_gain(const run_spec *spec, int layer)
{
    return gain(spec, layer, MATRIX_key);
}

/* Variance of a logit of queries and keys of mean square 1, q and k: of their matrices. */
static double logit_variance(const run_spec *spec, const recipe *r, double q, double k)
{
    const spec_model *m = &spec->model;
    double d = m->head_dim, root = parametrization_logits(spec), scale = 1;
    if (m->logit_scale == LOGITS_INV_SQRT) scale = root * root / d;
    if (m->logit_scale == LOGITS_SQRT) scale = d;
    const double cosine_start = 10;
    if (m->qk_norm) q = k = 1;
    if (r->unit || m->logit_scale == LOGITS_COSINE) q = k = 1 / d;
    if (m->logit_scale == LOGITS_COSINE) scale = cosine_start * cosine_start;
    double var = d * scale * m->logit_factor * m->logit_factor * q * k;
    return isnan(m->logit_softcap) ? var
                                   : var / (1 + 2 * var / (m->logit_softcap * m->logit_softcap));
}

static mixing_kind mixing_of(recipe_mixing r)
{
    return r == RECIPE_SOFTMAX    ? MIXING_SOFTMAX
           : r == RECIPE_IDENTITY ? MIXING_IDENTITY
                                  : MIXING_GIVEN;
}

static void fill_given(setting *s, const recipe *r, int layer)
{
    const run_spec *spec = s->spec;
    int n = s->tokens.n;
    bool causal = spec->model.mask == MASK_CAUSAL;
    target_kernel k =
        target_kernel_at(r->family, causal, n, layer, spec->depth, r->target_end(spec));
    target_kernel_fill(&k, (real *)s->given, NULL, s->given_work);
    real *bias = (real *)s->given;
    real rows[TOKENS_MAX];
    target_kernel_fill(&k, NULL, rows, s->given_work);
    double *out = s->given_work;
    for (int i = 0; i < n; i++) {
        double sum = 0;
        int end = causal ? i + 1 : n;
        for (int j = 0; j < end; j++) sum += exp((double)bias[i * n + j]);
        for (int j = 0; j < n; j++)
            out[i * n + j] = j < end ? (double)rows[i] * exp((double)bias[i * n + j]) / sum : 0;
    }
    memcpy(s->given, out, (size_t)n * (size_t)n * sizeof *out);
}

static void attention_sublayer(setting *s, const recipe *r, int layer, sublayer *out)
{
    const run_spec *spec = s->spec;
    const spec_model *m = &spec->model;
    bool local = is_local(m, layer);
    mixing *x = &out->mix;
    x->kind = mixing_of(r->mixing);
    x->tokens = &s->tokens;
    x->sight = &s->sights[local];
    x->gain = gain(spec, layer, MATRIX_value);
    double q = query_gain(spec, layer), k = key_gain(spec, layer);
    x->logit_var = logit_variance(spec, r, q, k);
    x->logit_normed = m->qk_norm || r->unit || m->logit_scale == LOGITS_COSINE;
    /* by W_Q: defined where W_Q is zero, too, as long as no norm divides by it */
    x->query_var = x->logit_normed ? x->logit_var / q
                   : q > 0         ? x->logit_var / q
                                   : logit_variance(spec, r, 1, k);
    out->matrix[0] = q, out->matrix[1] = k, out->matrix[2] = x->gain;
    bool own_base = local && !isnan(m->rope_base_local);
    x->turn = position_table[m->position]->rotates ? s->turn[own_base] : NULL;
    if (x->kind == MIXING_GIVEN) fill_given(s, r, layer);
    x->given = s->given;
    out->gain_out = gain(spec, layer, MATRIX_attn_out);
    if (!m->v_norm) return;
    if (out->in.kind == STEP_NONE) /* values and logits are those of normed rows */
        out->in = (norm_step){.kind = STEP_ROW,
                              .target = 1,
                              .kept = 1,
                              .eps = strategy_layer(spec, layer).eps / fmax(x->gain, 1e-300)};
    x->gain = 1;
}

static void mlp_sublayer(setting *s, int layer, sublayer *out)
{
    const run_spec *spec = s->spec;
    const spec_model *m = &spec->model;
    const activation *a = activation_table[m->activation];
    out->act = &s->act;
    out->gated = a->gate != NULL;
    out->gain_in = gain(spec, layer, out->gated ? MATRIX_gate : MATRIX_up);
    out->gain_up = out->gated ? gain(spec, layer, MATRIX_up) : 0;
    out->gain_out = out->one_matrix ? 1 : gain(spec, layer, MATRIX_down);
    out->dropout = m->alpha_dropout;
    out->mapped = setting_is_mapped(spec);
    out->boost = 1;
    if (!recipe_at(spec, layer)->unit) return;
    out->boost = m->d_model;
    out->gain_in *= m->d_model, out->gain_up *= m->d_model; /* learned factors sqrt(D) */
}

void setting_sublayer(setting *s, int layer, int i, sublayer *out)
{
    const branch *b = s->sublayers[i];
    const bool mlp = b->is_mlp;
    const run_spec *spec = s->spec;
    const spec_model *m = &spec->model;
    const recipe *r = recipe_at(spec, layer);
    const recipe_sublayer *at = mlp ? &r->mlp : &r->attn;
    int D = m->d_model, inner = mlp ? slot_units(spec) : m->n_heads * m->head_dim;
    *out = (sublayer){.is_mlp = mlp,
                      .one_matrix = b->one_matrix,
                      .is_last = i == s->n_sublayers - 1,
                      .site = b->site,
                      .no_skip = r->no_skip,
                      .width = D,
                      .hidden = inner};
    bool post = m->parallel ? mlp && r->attn.post : at->post;
    out->parallel = m->parallel;
    out->around = at->around;
    out->toward = r->toward;
    out->stream = step_at(s, at->stream, layer, mlp, SLOT_PLAIN, D, r->unit);
    out->in = step_at(s, at->in, layer, mlp, SLOT_PLAIN, D, r->unit);
    out->pre = step_at(s, at->pre, layer, mlp, SLOT_PLAIN, inner, false);
    out->inner = step_at(s, at->inner, layer, mlp, SLOT_PLAIN, inner, false);
    out->out = step_at(s, at->out, layer, mlp, SLOT_OUTPUT, D, r->unit);
    out->post = step_at(s, post, layer, mlp, SLOT_PLAIN, D, r->unit);
    out->alpha = of_layer(r->alpha, spec, layer);
    out->beta = branch_factor(spec, r, layer);
    out->in_scale = of_layer(r->in_scale, spec, layer);
    if (mlp)
        mlp_sublayer(s, layer, out);
    else
        attention_sublayer(s, r, layer, out);
}

/* --- tokens --- */

/* Mean cosine of the angles between the positions of two groups. */
static void fill_turn(const setting *s, double base, double *turn)
{
    const spec_model *m = &s->spec->model;
    int n = s->tokens.n, pairs = (int)floor(m->rope_fraction * m->head_dim / 2 + 1e-9);
    double still = 1 - 2.0 * pairs / m->head_dim;
    for (int g = 0; g < n; g++)
        for (int h = 0; h <= g; h++) {
            double apart = s->tokens.centre[g] - s->tokens.centre[h], sum = 0;
            if (g == h) apart = s->tokens.size[g] / 3; /* mean distance inside a group */
            if (g == h && s->tokens.size[g] == 1) apart = 0;
            for (int f = 0; f < pairs; f++) sum += cos(apart * pow(base, -2.0 * f / (2.0 * pairs)));
            turn[g * n + h] = turn[h * n + g] = still + 2 * sum / m->head_dim;
        }
}

static bool all_alike(const run_spec *spec)
{
    const position *p = position_table[spec->model.position];
    return spec->model.mask == MASK_BIDIRECTIONAL && !p->rotates && !p->add_row &&
           !spec->model.window && place_of(spec)->theory.mixing != RECIPE_TARGET;
}

void setting_init(setting *s, const run_spec *spec, int most, bool both, double *kernels)
{
    *s = (setting){.spec = spec, .exchangeable = all_alike(spec)};
    s->n_sublayers = slot_branches(s->sublayers, spec);
    tokens_init(&s->tokens, spec->data.seq_len, s->exchangeable, most);
    s->tokens.sequences = spec->data.batch;
    s->tokens.halves = both ? 2 : 1;
    const bool causal = spec->model.mask == MASK_CAUSAL;
    sight_init(&s->sights[0], &s->tokens, causal, 0);
    sight_init(&s->sights[1], &s->tokens, causal, spec->model.window);
    size_t each = kernel_doubles(s->tokens.n);
    s->turn[0] = kernels, s->turn[1] = kernels + each, s->given = kernels + 2 * each;
    s->given_work = kernels + SETTING_KERNELS * each;
    pair_of_activation(&s->act, activation_table[spec->model.activation]);
    pair_of_tanh(&s->curve_tanh);
    pair_of_erf(&s->curve_erf);
    if (!position_table[spec->model.position]->rotates) return;
    double local = spec->model.rope_base_local;
    fill_turn(s, spec->model.rope_base, s->turn[0]);
    fill_turn(s, isnan(local) ? spec->model.rope_base : local, s->turn[1]);
}

int32_t setting_token(const run_spec *spec, const theory_data *data, int b, int t)
{
    size_t length = (size_t)spec->data.seq_len;
    if (data->loss_mask && data->loss_mask[(size_t)b * length + (size_t)t]) return 0;
    return data->tokens[(size_t)b * (length + 1) + (size_t)t];
}

/* Chance that two places hold the same token, where nothing is known of the data. */
static double expected_match(const run_spec *spec)
{
    const double text = 0.07; /* bytes of English */
    double same = data_table[spec->data.source]->needs_corpus ? text : 1.0 / spec->model.vocab;
    double f = spec->data.mask_fraction;
    bool hides =
        spec->model.mask == MASK_BIDIRECTIONAL && loss_table[spec->train.loss]->uses_tokens;
    return hides ? f * f + (1 - f) * (1 - f) * same : same;
}

/* Which pairs of places are compared. */
typedef enum pair_of { SAME_SEQUENCE, OTHER_SEQUENCE, OTHER_AT_THE_SAME_PLACE } pair_of;

/* Share of such pairs of tokens of two groups that are equal, over the sequences of a batch (of
 * each and the next one). */
static double match(const setting *s, const theory_data *data, int g, int h, pair_of which)
{
    const run_spec *spec = s->spec;
    const tokens *t = &s->tokens;
    int a = (int)t->first[g], b = a + (int)t->size[g], c = (int)t->first[h],
        d = c + (int)t->size[h];
    const int most = 16; /* tokens of a group that are looked at */
    int di = 1 + (b - a - 1) / most, dj = 1 + (d - c - 1) / most;
    double same = 0, all = 0;
    for (int k = 0; k < spec->data.batch; k++)
        for (int i = a; i < b; i += di)
            for (int j = c; j < d; j += dj) {
                if ((i == j) != (which == OTHER_AT_THE_SAME_PLACE)) continue;
                int other = which == SAME_SEQUENCE ? k : (k + 1) % spec->data.batch;
                same += setting_token(spec, data, k, i) == setting_token(spec, data, other, j);
                all++;
            }
    return all > 0 ? same / all : 1;
}

static void fill_matches(const setting *s, const theory_data *data, double *k)
{
    int n = s->tokens.n;
    double expected = expected_match(s->spec);
    for (int half = 0; half < s->tokens.halves; half++, k += kernel_doubles(n)) {
        pair_of apart = half ? OTHER_SEQUENCE : SAME_SEQUENCE;
        for (int g = 0; g < n; g++)
            for (int h = 0; h <= g; h++)
                k[g * n + h] = k[h * n + g] = data ? match(s, data, g, h, apart) : expected;
        for (int g = 0; g < n; g++) {
            k[n * n + g] = half == 0 ? 1
                           : data    ? match(s, data, g, g, OTHER_AT_THE_SAME_PLACE)
                                     : expected;
            if (s->tokens.size[g] == 1) k[g * n + g] = k[n * n + g];
        }
    }
}

/* Fixed positions: p_i.p_j/D, sampled over WIDTH features, and the mean over features. */
static void add_positions(const setting *s, const position *p, stream *x)
{
    enum { WIDTH = 128 };
    real rows[TOKENS_MAX][WIDTH];
    int n = s->tokens.n, width = s->spec->model.d_model < WIDTH ? s->spec->model.d_model : WIDTH;
    memset(rows, 0, sizeof rows);
    for (int g = 0; g < n; g++) {
        p->add_row(rows[g], (int)lround(s->tokens.centre[g]), (size_t)width);
        for (int c = 0; c < width; c++) x->mu[g] += (double)rows[g][c] / width;
    }
    for (int g = 0; g < n; g++)
        for (int h = 0; h < n; h++) {
            double dot = 0;
            for (int c = 0; c < width; c++) dot += (double)rows[g][c] * (double)rows[h][c] / width;
            for (int half = 0; half < s->tokens.halves; half++) {
                double *k = x->k + (size_t)half * kernel_doubles(n);
                k[g * n + h] += dot;
                if (g == h) k[n * n + g] += dot;
            }
        }
}

static void embed(setting *s, const theory_data *data, stream *x)
{
    const run_spec *spec = s->spec;
    const spec_model *m = &spec->model;
    const position *p = position_table[m->position];
    int n = s->tokens.n;
    double scale = m->embed_scale * m->embed_scale;
    double var = scale * entry_var(spec, 0, MATRIX_NONE, PARAM_EMBED, m->vocab, m->d_model);
    if (spec->strategy.fixnorm) var = scale;
    fill_matches(s, data, x->k);
    for (size_t i = 0; i < tokens_doubles(&s->tokens); i++) x->k[i] *= var;
    if (p->has_table) {
        double own =
            entry_var(spec, 0, MATRIX_NONE, PARAM_POSITION, spec->data.seq_len, m->d_model);
        double *k = x->k;
        for (int half = 0; half < s->tokens.halves; half++, k += kernel_doubles(n))
            for (int i = 0; i < n; i++) {
                k[n * n + i] += own;
                if (s->tokens.size[i] == 1) k[i * n + i] += own;
            }
    }
    if (p->add_row) add_positions(s, p, x);
    double all = kernel_means(x->k, &s->tokens).q;
    x->share = all > 0 ? var / all : 0;
}

void setting_stream(
    setting *s, const theory_data *data, stream *x, hermite_series *series, double *spare)
{
    const run_spec *spec = s->spec;
    int n = s->tokens.n;
    memset(x->mu, 0, sizeof x->mu);
    memset(x->k, 0, tokens_doubles(&s->tokens) * sizeof *x->k); /* sequences of vectors: apart */
    x->share = 1;
    if (data_table[spec->data.source]->gives_inputs)
        for (int i = 0; i < n; i++) {
            const double v = spec->data.variance;
            for (int j = 0; j < n; j++) x->k[i * n + j] = v * spec->data.token_corr;
            x->k[n * n + i] = v;
            if (s->tokens.size[i] == 1) x->k[i * n + i] = v;
        }
    else
        embed(s, data, x);
    kernel_mean before = kernel_means(x->k, &s->tokens);
    double D = spec->model.d_model, c = 2 / D, u = before.q - before.p;
    x->error = (spread){c * before.p * before.p, 0, c * u * u / spec->data.seq_len};
    if (!spec->strategy.embed_norm) return;
    bool unit = place_of(spec)->theory.unit;
    norm_step in = step_at(s, true, 0, false, SLOT_PLAIN, spec->model.d_model, unit);
    norm_forward(&in, x->k, x->mu, &s->tokens, spare, series);
    spread_normalise(&x->error, &in, before, kernel_means(x->k, &s->tokens));
}

double setting_readout_entry(const run_spec *spec)
{
    const spec_model *m = &spec->model;
    double factor = parametrization_readout(spec),
           h = m->tied ? entry_var(spec, 0, MATRIX_NONE, PARAM_EMBED, m->vocab, m->d_model)
                       : entry_var(spec, spec->depth + 1, MATRIX_NONE, PARAM_HEAD, m->vocab,
                                   m->d_model);
    if (m->tied && spec->strategy.fixnorm) h = 1.0 / m->d_model;
    return h * factor * factor;
}

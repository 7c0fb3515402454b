#include "core/theory/readout.h"

#include "core/data/data.h"
#include "core/loss/loss.h"

#include <math.h>

/* Of bytes of English: that two places, or a place and the next one, have the same; two bytes. */
static const double text_same = 0.07, text_doubled = 0.02, text_both = 0.01;

/* Means over pairs of places, i != j, of a sequence, and over those of two. */
typedef struct pair_means {
    double within, across;
} pair_means;

/* Chances that places of a pair hold the same token, that one has the token of the other as its
 * target, that targets are the same, and that tokens and targets are. */
typedef struct repeats {
    double tokens, crossed, targets, both;
} repeats;

static bool is_causal(const run_spec *spec)
{
    return spec->model.mask == MASK_CAUSAL;
}

static bool is_text(const run_spec *spec)
{
    return data_table[spec->data.source]->needs_corpus;
}

static int32_t target_at(const run_spec *spec, const theory_data *data, int b, int t)
{
    return data
        ->tokens[(size_t)b * ((size_t)spec->data.seq_len + 1) + (size_t)(t + is_causal(spec))];
}

static repeats expected_repeats(const run_spec *spec, bool across)
{
    double same = is_text(spec) ? text_same : 1.0 / spec->model.vocab;
    bool next = is_causal(spec) && !across; /* the target is the next token */
    return (repeats){.tokens = same,
                     .crossed = same + (next ? 1.0 / spec->data.seq_len : 0),
                     .targets = same,
                     .both = is_text(spec) ? text_both : same * same};
}

/* Of pairs in one sequence of each; across: of each with the next one. */
static repeats repeats_of(const run_spec *spec, const theory_data *data, bool across)
{
    int T = spec->data.seq_len, B = spec->data.batch;
    const int most = 64; /* places of a sequence that are looked at */
    int step = 1 + (T - 1) / most;
    repeats sum = {0};
    double all = 0;
    if (!data) return expected_repeats(spec, across);
    for (int b = 0; b < B; b++)
        for (int i = 0; i < T; i += step) {
            int32_t x = setting_token(spec, data, b, i), y = target_at(spec, data, b, i);
            int other = across ? (b + 1) % B : b;
            for (int j = 0; j < T; j += step) {
                if (!across && i == j) continue;
                bool same = x == setting_token(spec, data, other, j),
                     target = y == target_at(spec, data, other, j);
                sum.tokens += same, sum.targets += target, sum.both += same && target;
                sum.crossed += y == setting_token(spec, data, other, j);
                all++;
            }
        }
    if (all == 0) return sum;
    return (repeats){sum.tokens / all, sum.crossed / all, sum.targets / all, sum.both / all};
}

/* Share of the places of the loss whose target is the token that they hold. */
static double own_target(const run_spec *spec, const theory_data *data)
{
    double same = 0, all = 0;
    if (!data) return is_text(spec) && is_causal(spec) ? text_doubled : 1.0 / spec->model.vocab;
    for (int b = 0; b < spec->data.batch; b++)
        for (int t = 0; t < spec->data.seq_len; t++) {
            if (data->loss_mask && !data->loss_mask[b * spec->data.seq_len + t]) continue;
            same += setting_token(spec, data, b, t) == target_at(spec, data, b, t);
            all++;
        }
    return all > 0 ? same / all : 0;
}

/* Over the pairs of the batch. */
static double batch_mean(const run_spec *spec, pair_means m)
{
    double own = 1.0 / spec->data.batch;
    return own * m.within + (1 - own) * m.across;
}

/* Of the mean of lse(z) - z_y over the places, z of variance v and correlation rho: where streams
 * are alike and targets equal there is one z_y; lse averages over the V logits. */
static double
loss_variance(const run_spec *spec, double v, double places, pair_means rho, pair_means same_target)
{
    pair_means both = {rho.within * same_target.within, rho.across * same_target.across};
    double alike = batch_mean(spec, rho) + 1 / places;
    return fmax(v * (2 / places + batch_mean(spec, both)) + expm1(v * alike) / spec->model.vocab,
                0);
}

/* Probability of the token itself, whose logit has mean z and variance var, beside V - 1 others. */
typedef struct own_token {
    double p, p_sq, lse;
} own_token;

static own_token own_token_of(double z, double var, double log_others)
{
    const double nodes[] = {-1.7320508075688772, 0, 1.7320508075688772},
                 weight[] = {1 / 6.0, 2 / 3.0, 1 / 6.0};
    own_token out = {0};
    for (int i = 0; i < 3; i++) {
        double above = z + nodes[i] * sqrt(var) - log_others, p = 1 / (1 + exp(-above));
        out.p += weight[i] * p;
        out.p_sq += weight[i] * p * p;
        out.lse += weight[i] * (log_others + fmax(above, 0) + log1p(exp(-fabs(above))));
    }
    return out;
}

/* What the rows of the output matrix have to do with the tokens. */
typedef struct tie {
    double entries, v; /* V, variance of a logit */
    own_token own;
    double share, target; /* s, d */
    repeats within, across;
} tie;

/* g_i.g_j of places whose streams have the cosine rho, but for what goes with that cosine. */
static double pair_of(const tie *t, const repeats *r, double rho, bool past)
{
    double P = t->own.p, s = past ? t->share : 0, rest = 1 - 2 * P + t->own.p_sq;
    double others = rest * exp(t->v * rho) + 2 * P * (1 - P) - 2 * (1 - P);
    return r->targets - 2 * P * r->crossed * (1 - s) + P * P * r->tokens * (1 - 2 * s) +
           others / t->entries;
}

static double own_of(const tie *t, bool past)
{
    double P = t->own.p, d = t->target, rest = 1 - 2 * P + t->own.p_sq;
    double row = t->own.p_sq - 2 * P * d + d, kept = past ? 1 - t->share : 1;
    return kept * row + 1 - d + (rest * exp(t->v) - 2 * (1 - P)) / t->entries;
}

/* f: share of the places that have a loss. */
static seed_kernel seed_of(const tie *t, pair_means rho, double unit, double f, bool past)
{
    return (seed_kernel){.own = f * unit * own_of(t, past),
                         .other = f * f * unit * pair_of(t, &t->within, rho.within, past),
                         .across = f * f * unit * pair_of(t, &t->across, rho.across, past)};
}

static readout of_rows(const run_spec *spec)
{
    double D = spec->model.d_model;
    seed_kernel k = {.own = D, .other = loss_table[spec->train.loss]->same_rows ? D : 0};
    return (readout){.shape_known = true,
                     .matrices = true,
                     .at = k,
                     .past = k,
                     .shared = 1,
                     .loss = (double)NAN};
}

/* How far the kernel of the gradient may be off, and what the sums over pairs of places miss where
 * what their gradients and what their streams have in common goes together. */
static void
find_limits(readout *out, const run_spec *spec, const tie *t, double places, pair_means rho)
{
    const double systematic = 0.3; /* of the logit that finds the token */
    double P = t->own.p, rest = 1 - t->share, own = own_of(t, true);
    double moved = 2 * P * (1 - P) * rest / own * systematic;
    pair_means both = {fmax(t->within.both - t->within.tokens * t->within.targets, 0),
                       fmax(t->across.both - t->across.tokens * t->across.targets, 0)},
               same = {t->within.tokens, t->across.tokens}, common;
    double along = P * P * t->share;
    common.within = (pair_of(t, &t->within, rho.within, true) + along * rho.within) * rho.within;
    common.across = (pair_of(t, &t->across, rho.across, true) + along * rho.across) * rho.across;
    out->error = moved * moved;
    out->joint = places * (P * P * rest * batch_mean(spec, same) + batch_mean(spec, both)) / own;
    out->shared = 1 + fmax(places * batch_mean(spec, common) / own, 0);
}

/* Of the loss, by the lengths of the rows that find their tokens and by their share of the stream.
 */
static double found_variance(const run_spec *spec, const tie *t, double z, double places)
{
    double P = t->own.p, rest = 1 - t->share;
    double alike = 1 / places + batch_mean(spec, (pair_means){t->within.tokens, t->across.tokens});
    return P * P * z * z * (alike + 2 * rest * rest) / (2 * spec->model.d_model);
}

readout readout_of(const setting *s,
                   const theory_data *data,
                   kernel_mean final,
                   double across,
                   double share,
                   double made)
{
    const run_spec *spec = s->spec;
    const spec_model *m = &spec->model;
    const double largest = 2, seen = 0.05, most_targets = 0.3, most_made = 0.1;
    double D = m->d_model, V = m->vocab, f = 1;
    if (!loss_table[spec->train.loss]->uses_tokens) return of_rows(spec);
    double h = setting_readout_entry(spec), v = h * D * final.q;
    bool hidden = m->mask == MASK_BIDIRECTIONAL;
    bool finds = m->tied && !data_table[spec->data.source]->gives_inputs;
    if (hidden) f = fmax(spec->data.mask_fraction, 1e-9);
    double places = f * spec->data.batch * spec->data.seq_len, unit = h * D / (places * places);
    pair_means rho = {.within = final.q > 0 ? final.pairs / final.q : 0, .across = across};
    if (spec->data.seq_len < 2) rho.within = 0;
    if (isnan(across)) rho.across = fmax(rho.within, 0); /* for the tolerance: the most */
    tie t = {.entries = V, .v = v, .share = finds ? share : 0};
    double z = sqrt(v * D * t.share), spread_z = v * (1 - t.share) + z * z / (2 * D);
    readout out = {.reason = REASON_NO_LAW_LOSS, .logit_var = v};
    if (!(v <= largest)) return out;
    t.own = own_token_of(z, spread_z, log(V - 1) + v / 2);
    if (finds) t.target = own_target(spec, data);
    if (t.target * t.share > most_targets || (hidden && finds && t.own.p > 1 / 3.0)) return out;
    out.loss = t.own.lse - t.target * z;
    if (!finds || hidden || t.own.p < seen) t.own.p = t.own.p_sq = 0;
    t.within = repeats_of(spec, data, false), t.across = repeats_of(spec, data, true);
    out.reason = REASON_NONE;
    out.shape_known = true;
    out.matrices = t.own.p * t.own.p * t.share * made <= most_made;
    out.at = seed_of(&t, rho, unit, f, false);
    out.past = seed_of(&t, rho, unit, f, true);
    out.along = f * f * unit * t.own.p * t.own.p * t.share;
    find_limits(&out, spec, &t, places, rho);
    out.loss_var =
        loss_variance(spec, v, places, rho, (pair_means){t.within.targets, t.across.targets}) +
        found_variance(spec, &t, z, places);
    return out;
}

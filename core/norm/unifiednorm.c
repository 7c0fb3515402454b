/* Unified Normalization: a quadratic mean over the tokens of the batch per channel, smoothed over a
 * window of M = stat_window steps, forward by a geometric mean, backward by an arithmetic one; the
 * backward pass is approximate. k is the training step from 1, W stat_warmup, keep stat_keep.
 *
 *   q = mean(x^2)                                                     per channel
 *   v_rec = variance, unbiased, of all sqrt(X2[i][c]) of the window     before q comes in
 *   X2[k mod M] <- q
 *   skip = M <= 1
 *   with stat_filter and k >= W, if in any channel
 *       mean_i X2 - exp(mean_i ln X2) > M v_rec:                      an outlier batch
 *       X2[k mod M] <- V, skip = true
 *   var = q                        if k <= M or k < W or skip
 *         exp(mean_i ln X2[i])     otherwise
 *   r = 1                          if k <= max(1000, W) or skip
 *       sqrt(var + eps) / sqrt(V + eps) within [1/5, 5]   otherwise
 *   z = x / sqrt(var + eps),  y = gain z + bias
 *   V <- keep V + (1 - keep) var   with stat_compat also for an outlier batch, else not for that
 *
 * Backward, with g = gain dy r and m = mean(g z):
 *
 *   GZ[k mod M] <- (skip ? E : m)
 *   mb = m                         if k <= M or k < W or skip
 *        mean_i GZ[i]              otherwise
 *   E <- keep E + (1 - keep) mb
 *   dx = (g - (skip ? mb : E) z) / sqrt(var + eps),  dgain = sum of dy r z,  dbias = sum of dy
 *
 * which is exact where the batch is skipped. Eval divides by sqrt(V + eps).
 * Source: Yang et al. 2022, arXiv:2208.01313; hikvision-research/Unified-Normalization,
 * neural_machine_translation/fairseq/modules/unified_normalization/unified_normalization.py.
 */
#include "core/norm/norm.h"
#include "core/norm/over_batch.h"

#include <math.h>

enum { STEPS, VAR, X2, E, GZ, SKIPS };
enum { COMPENSATION_WARMUP = 1000 };
enum verdict { SMOOTHED, SKIPPED, OUTLIER }; /* kept_one: what forward decided, for backward */

static size_t slot_of(const batch_pass *p)
{
    return (size_t)(p->step % p->strategy->stat_window) * p->n;
}

static bool is_early(const batch_pass *p)
{
    return p->step <= p->strategy->stat_window || p->step < p->strategy->stat_warmup;
}

static double spread_of_roots(const double *x2, size_t count)
{
    double mean = 0, square = 0;
    for (size_t i = 0; i < count; i++) mean += sqrt(x2[i]);
    mean /= (double)count;
    for (size_t i = 0; i < count; i++) square += (sqrt(x2[i]) - mean) * (sqrt(x2[i]) - mean);
    return square / (double)(count - 1);
}

static double arithmetic_mean(const double *x2, size_t channels, size_t window)
{
    double sum = 0;
    for (size_t i = 0; i < window; i++) sum += x2[i * channels];
    return sum / (double)window;
}

static double geometric_mean(const double *x2, size_t channels, size_t window)
{
    double sum = 0;
    for (size_t i = 0; i < window; i++) sum += log(x2[i * channels]);
    return exp(sum / (double)window);
}

/* One channel is enough to skip the batch in all. */
static bool is_outlier(const batch_pass *p, double spread)
{
    size_t window = (size_t)p->strategy->stat_window;
    for (size_t c = 0; c < p->n; c++) {
        const double *x2 = p->next[X2] + c;
        double gap = arithmetic_mean(x2, p->n, window) - geometric_mean(x2, p->n, window);
        if (gap > spread * (double)window) return true;
    }
    return false;
}

static enum verdict judge(batch_pass *p)
{
    const spec_strategy *s = p->strategy;
    size_t window = (size_t)s->stat_window, slot = slot_of(p);
    double spread = spread_of_roots(p->now[X2], window * p->n);
    for (size_t c = 0; c < p->n; c++) p->next[X2][slot + c] = p->square[c];
    if (p->step >= s->stat_warmup && s->stat_filter && is_outlier(p, spread)) {
        for (size_t c = 0; c < p->n; c++) p->next[X2][slot + c] = p->now[VAR][c];
        p->next[SKIPS][0] = p->now[SKIPS][0] + 1;
        return OUTLIER;
    }
    return window <= 1 ? SKIPPED : SMOOTHED;
}

static double compensation(const batch_pass *p, double var, double running)
{
    double r = sqrt(var + p->eps) / sqrt(running + p->eps);
    if (r < 0.2) return 0.2;
    return r > 5 ? 5 : r;
}

static void forward(batch_pass *p)
{
    const spec_strategy *s = p->strategy;
    enum verdict verdict = judge(p);
    bool live = is_early(p) || verdict != SMOOTHED;
    bool plain = p->step <= COMPENSATION_WARMUP || p->step <= s->stat_warmup || verdict != SMOOTHED;
    for (size_t c = 0; c < p->n; c++) {
        double running = p->now[VAR][c];
        double var =
            live ? p->square[c] : geometric_mean(p->next[X2] + c, p->n, (size_t)s->stat_window);
        p->scale[c] = 1 / sqrt(var + p->eps);
        p->weight[c] = plain ? 1 : compensation(p, var, running);
        if (s->stat_compat || verdict != OUTLIER)
            p->next[VAR][c] = s->stat_keep * running + (1 - s->stat_keep) * var;
    }
    *p->kept_one = verdict;
}

static void backward(batch_pass *p)
{
    const spec_strategy *s = p->strategy;
    size_t slot = slot_of(p), window = (size_t)s->stat_window;
    bool skip = *p->kept_one != SMOOTHED, live = is_early(p) || skip;
    for (size_t c = 0; c < p->n; c++) {
        double r = p->weight[c], m = r * p->gz[c], ema = p->now[E][c];
        p->next[GZ][slot + c] = skip ? ema : m;
        double along = live ? m : arithmetic_mean(p->next[GZ] + c, p->n, window);
        p->next[E][c] = s->stat_keep * ema + (1 - s->stat_keep) * along;
        p->along_g[c] = p->scale[c] * r;
        p->along_z[c] = -p->scale[c] * (skip ? along : p->next[E][c]);
    }
}

static const batch_norm batch = {
    .states = {{"steps", BATCH_ONE, 0},
               {"running_var", BATCH_CHANNELS, 1},
               {"buffer_x2", BATCH_WINDOW, 0},
               {"ema_gz", BATCH_CHANNELS, 0},
               {"buffer_gz", BATCH_WINDOW, 0},
               {"skip_counter", BATCH_ONE, 0}},
    .forward = forward,
    .eval = batch_norm_eval_square,
    .backward = backward,
};

const norm norm_unifiednorm = {
    .entry = {.name = "unifiednorm",
              .summary = "y = gain x / sqrt(v + eps) + bias, v the mean of x^2 over the tokens of "
                         "the batch, smoothed over the last stat_window steps by a geometric mean",
              .source = "arXiv:2208.01313",
              .approximate = "dx = (g - E z) / sqrt(v + eps) with g = r gain dy, r = sqrt(v / "
                             "running v) within [1/5, 5], and E a running mean, over stat_window "
                             "steps and stat_keep, of mean(g z); exact only for skipped batches"},
    .has = 1 << NORM_GAIN | 1 << NORM_BIAS,
    .uses = USES(STATISTIC) | USES(WARMUP) | USES(WINDOW) | USES(COMPAT),
    .warmup = 4000,
    .batch = &batch,
};

/* PRepBN: a LayerNorm that turns into a RepBN as training goes on,
 *   y = lambda LayerNorm(x) + (1 - lambda) RepBN(x)
 *
 * with gain, bias (and eta) of each its own. For stat_warmup steps lambda is 1 and RepBN does not
 * count: its state and parameters stay. Then lambda = 1 - t / progress_steps for t = 0, 1, .. and 0
 * from t = progress_steps on; t counts optimizer steps, not micro-batches. Eval is RepBN alone,
 * whatever lambda is, which means little before lambda is 0.
 *
 * Backward, exact: lambda dy goes to LayerNorm, (1 - lambda) dy to RepBN; op blend does that, and
 * copies where lambda is 1 or 0.
 *
 * State: as batchnorm. Source: Guo et al. 2024 (SLAB), arXiv:2405.11582; xinghaochen/SLAB,
 * classification/models/prepbn.py (LinearNorm).
 */
#include "core/norm/batchnorm.h"
#include "core/norm/norm.h"

static bool is_warming(const batch_pass *p)
{
    return p->step <= p->strategy->stat_warmup;
}

static void forward(batch_pass *p)
{
    batchnorm_forward(p);
    if (!is_warming(p)) return;
    for (size_t c = 0; c < p->n; c++)
        for (int i = 1; i <= 2; i++) p->next[i][c] = p->now[i][c];
}

static double lambda(const batch_pass *p)
{
    if (is_warming(p)) return 1;
    int t = p->step - 1 - p->strategy->stat_warmup, total = p->strategy->progress_steps;
    return t >= total ? 0 : (double)(total - t) / total;
}

static const batch_norm batch = {
    .centred = true,
    .has_eta = true,
    .states = BATCHNORM_STATES,
    .forward = forward,
    .eval = batchnorm_eval,
    .backward = batchnorm_backward,
    .lambda = lambda,
};

const norm norm_prepbn = {
    .entry = {.name = "prepbn",
              .summary = "y = lambda LayerNorm(x) + (1 - lambda) (BatchNorm(x) + eta x), lambda "
                         "from 1 to 0 over progress_steps optimizer steps",
              .source = "arXiv:2405.11582"},
    .has = 1 << NORM_GAIN | 1 << NORM_BIAS,
    .uses = USES(STATISTIC) | USES(WARMUP) | USES(PROGRESS),
    .batch = &batch,
};

/* Group jacobian: J_l = d x_l / d x_{l-1}, x_l [T, D] the stream that leaves block l, one matrix
 * [T D, T D] per sequence: tokens are coupled. Under norms with batch statistics sequences are too;
 * there is then one matrix [B T D, B T D]. Where blocks hand on more than the stream, the rest is
 * held constant in J_l, and follows in the Jacobian to the end.
 *
 *   jac_chi        E |J'u|^2 / n for u ~ N(0, 1) [n] is |J|_F^2 / n: VJPs, backward passes over one
 *                  block with u in place of the loss gradient. Var |J'u|^2 = 2 sum s^4. With
 *                  n probes or more they are the unit vectors: exact.
 *   jac_spread     n sum s^4 / (sum s^2)^2 - 1; for independent u, v: E (J'u.J'v)^2 = sum s^4
 *   jac_end_chi    the same as jac_chi for d x_L / d x_l: one sweep per probe through all blocks
 *   jac_sigma_max  Lanczos on J'J with full reorthogonalization. J v by central difference with
 *                  no token moved by more than DIFFERENCE of it, J'u exact, so that what is
 * reported, |J'u|/|u| with u = J v at the best v, is never above the truth and has the square of
 * the differences' error.
 *
 * J' is what the backward pass says. Where that is not the transpose of J (GPAS, PowerNorm as
 * released), J'J is not symmetric and has no such value: REASON_ASYMMETRIC.
 * Source: reference formulas in Pennington, Schoenholz & Ganguli 2017, arXiv:1711.04735; Golub &
 * Van Loan 10.1.
 */
#include "core/base/rng.h"
#include "core/extra/lanczos.h"
#include "core/graph/cost.h"
#include "core/probe/gauge.h"
#include "core/run/extra.h"
#include "core/run/session.h"

#include <assert.h>
#include <stdio.h>
#include <string.h>

#if REAL_BITS == 64
#define DIFFERENCE 1e-5
#define ASYMMETRY 1e-3
#else
#define DIFFERENCE 1e-3
#define ASYMMETRY 3e-2
#endif

typedef struct jac_layer {
    double chi, variance, spread; /* variance: of chi, relative */
    double end_chi, sigma, change;
    int iterations;
    bool asymmetric;
} jac_layer;

typedef struct jacobian {
    bool chi, end, sigma; /* what is wanted */
    int groups;           /* matrices in a batch */
    size_t n, width;      /* their size; features of a token */
    int probes, iterations;
    bool exact;         /* probes are unit vectors */
    real *x, *up;       /* [groups, n] where a block is entered; J v */
    real *vectors;      /* [slots] of [groups, n]: J'u of all probes, or the Lanczos vectors */
    double *diag, *off; /* [groups, iterations] */
    double *work;       /* [groups, 2 iterations + 2] */
    double *sums;       /* [groups, SUMS] */
    int *steps;         /* [groups] Lanczos steps made */
    bool *stopped;      /* [groups] no direction is left */
    int *leaving;       /* values that leave a segment */
    int n_leaving;
    real **grads;      /* [L + 1] where the gradient of x_l is when block l is reached */
    jac_layer *layers; /* [L + 1] */
} jacobian;

enum { SUMS = 4 };

static bool wants(const run_spec *spec, metric m)
{
    return spec->measure.metrics[m];
}

static jacobian shape_of(const session *s)
{
    const run_spec *spec = s->spec;
    const value *v = &s->g.values[s->g.stream[0]];
    size_t one = (size_t)v->rows * (size_t)v->cols;
    bool coupled = exec_sums_over_batch(&s->g);
    jacobian j = {
        .chi = wants(spec, METRIC_jac_chi) || wants(spec, METRIC_jac_chi_error) ||
               wants(spec, METRIC_jac_spread),
        .end = wants(spec, METRIC_jac_end_chi),
        .sigma = wants(spec, METRIC_jac_sigma_max) || wants(spec, METRIC_jac_sigma_change) ||
                 wants(spec, METRIC_jac_iterations),
        .groups = coupled ? 1 : s->g.batch,
        .n = coupled ? one * (size_t)s->g.batch : one,
        .width = (size_t)v->cols,
        .probes = spec->measure.probes,
        .iterations = spec->measure.iterations,
    };
    j.exact = (size_t)j.probes >= j.n;
    if (j.exact) j.probes = (int)j.n;
    if ((size_t)j.iterations > j.n) j.iterations = (int)j.n;
    return j;
}

/* Gradients of values are a third of a pass; a Lanczos step is three forward passes (two sides, and
 * back) and one such backward pass. */
static double passes(const session *s)
{
    jacobian j = shape_of(s);
    return 1.0 / 3 + (j.chi + j.end) * j.probes / 3.0 + j.sigma * (j.iterations + 1) * 4 / 3.0;
}

static void *layout(const session *s, int n_threads, arena *a)
{
    (void)n_threads;
    jacobian j = shape_of(s);
    size_t groups = (size_t)j.groups, k = (size_t)j.iterations, all = groups * j.n,
           layers = (size_t)s->spec->depth + 1, slots = j.chi ? (size_t)j.probes : 1;
    if (j.sigma && k + 2 > slots) slots = k + 2;
    jacobian *out = arena_alloc(a, sizeof *out);
    j.x = arena_alloc(a, all * sizeof *j.x);
    j.up = arena_alloc(a, all * sizeof *j.up);
    j.vectors = arena_alloc(a, slots * all * sizeof *j.vectors);
    j.diag = arena_alloc(a, groups * k * sizeof *j.diag);
    j.off = arena_alloc(a, groups * k * sizeof *j.off);
    j.work = arena_alloc(a, groups * (2 * k + 2) * sizeof *j.work);
    j.sums = arena_alloc(a, groups * SUMS * sizeof *j.sums);
    j.steps = arena_alloc(a, groups * sizeof *j.steps);
    j.stopped = arena_alloc(a, groups * sizeof *j.stopped);
    j.leaving = arena_alloc(a, (size_t)s->g.n_values * sizeof *j.leaving);
    j.grads = arena_alloc(a, layers * sizeof *j.grads);
    j.layers = arena_alloc(a, layers * sizeof *j.layers);
    if (out) *out = j;
    return out;
}

/* A run of it at one step. */
typedef struct jac_run {
    session *s;
    jacobian *j;
    const extra_pass *how;
    int layer; /* block that is looked at */
    int slot;  /* of vectors: what a task works on */
    rng random;
    uint64_t first; /* number of the stream */
    real *target;
    double sign; /* of a difference */
} jac_run;

static real *vector(const jacobian *j, int slot, int group)
{
    return j->vectors + ((size_t)slot * (size_t)j->groups + (size_t)group) * j->n;
}

static void each_group(jac_run *r, team_work *work)
{
    team_run(r->s->x.team, work, r, r->j->groups);
}

/* --- what goes in and comes out ------------------------------------------------------------- */

static void normal_task(void *context, int task, int worker)
{
    (void)worker;
    jac_run *r = context;
    size_t n = r->j->n, first = (size_t)task * n;
    double block[RNG_BLOCK];
    size_t at = SIZE_MAX;
    for (size_t i = 0; i < n; i++) {
        size_t index = first + i;
        if (index / RNG_BLOCK != at) {
            at = index / RNG_BLOCK;
            rng_normal_block(&r->random, r->first + at, block);
        }
        r->target[index] = (real)block[index % RNG_BLOCK];
    }
}

/* Normal numbers for all groups, others for each probe. */
static void fill_normal(jac_run *r, real *target, int number)
{
    size_t all = (size_t)r->j->groups * r->j->n;
    r->target = target;
    r->first = (uint64_t)number * ((all + RNG_BLOCK - 1) / RNG_BLOCK);
    each_group(r, normal_task);
}

static void fill_probe(jac_run *r, real *target, int number)
{
    const jacobian *j = r->j;
    if (!j->exact) {
        fill_normal(r, target, number);
        return;
    }
    memset(target, 0, (size_t)j->groups * j->n * sizeof *target);
    for (int g = 0; g < j->groups; g++) target[(size_t)g * j->n + (size_t)number] = 1;
}

/* What leaves blocks first..layer together has no gradient but that of the stream, which the caller
 * sets. */
static void clear_leaving(const jac_run *r, int layer)
{
    const exec *x = &r->s->x;
    for (int i = 0; i < r->j->n_leaving; i++) {
        int v = r->j->leaving[i];
        real *grad = exec_grad_so_far(x, v, layer, 0);
        assert(grad != r->j->grads[layer]);
        if (grad) memset(grad, 0, cost_value_bytes(x->g, v));
    }
}

static void find_leaving(jac_run *r, int layer)
{
    const graph *g = &r->s->g;
    r->j->n_leaving = exec_leaving(g, layer, g->stream[layer], r->j->leaving);
}

static err_code backward(const jac_run *r, int layer)
{
    return exec_backward_part(&r->s->x, layer, layer, r->how->progress, r->how->user);
}

/* --- chi ------------------------------------------------------------------------------------ */

static void square_task(void *context, int task, int worker)
{
    (void)worker;
    jac_run *r = context;
    const real *v = r->target + (size_t)task * r->j->n;
    r->j->sums[task * SUMS] += exec_dot(v, v, r->j->n);
}

static double mean_over_groups(const jacobian *j, int which, double factor)
{
    double sum = 0;
    for (int g = 0; g < j->groups; g++) sum += j->sums[g * SUMS + which] * factor;
    return sum / j->groups;
}

/* Of what jac_chi is a sum: n for unit vectors, n per probe. */
static double share(const jacobian *j)
{
    return j->exact ? 1 / (double)j->n : 1 / ((double)j->n * j->probes);
}

/* Sweeps through all blocks; end_chi is summed up on the way. */
static err_code sweep(jac_run *r)
{
    jacobian *j = r->j;
    int depth = r->s->spec->depth;
    size_t bytes = (size_t)j->groups * j->n * sizeof(real);
    find_leaving(r, depth);
    for (int l = 0; l < depth; l++) j->layers[l].end_chi = 0;
    for (int p = 0; p < j->probes; p++) {
        clear_leaving(r, depth);
        fill_probe(r, j->up, p);
        memcpy(j->grads[depth], j->up, bytes);
        for (int l = depth; l >= 1; l--) {
            if (backward(r, l)) return ERR_CANCELLED;
            memset(j->sums, 0, (size_t)j->groups * SUMS * sizeof *j->sums);
            r->target = j->grads[l - 1];
            each_group(r, square_task);
            j->layers[l - 1].end_chi += mean_over_groups(j, 0, share(j));
        }
    }
    return ERR_OK;
}

/* J'u of the current block; u is where its gradient begins. */
static err_code pull(jac_run *r, const real *u, real *out)
{
    const jacobian *j = r->j;
    size_t bytes = (size_t)j->groups * j->n * sizeof *u;
    clear_leaving(r, r->layer);
    memcpy(j->grads[r->layer], u, bytes);
    if (backward(r, r->layer)) return ERR_CANCELLED;
    memcpy(out, j->grads[r->layer - 1], bytes);
    return ERR_OK;
}

/* Sums over probes and pairs of them: |w|^2, (w.w')^2, |w|^2 |w'|^2. Unit vectors: all pairs. */
static void pair_task(void *context, int task, int worker)
{
    (void)worker;
    const jac_run *r = context;
    const jacobian *j = r->j;
    double squares = 0, products = 0, crossed = 0;
    for (int a = 0; a < j->probes; a++) {
        const real *w = vector(j, a, task);
        double square = exec_dot(w, w, j->n);
        for (int b = 0; b < a; b++) {
            const real *other = vector(j, b, task);
            double product = exec_dot(w, other, j->n);
            products += product * product;
            crossed += square * exec_dot(other, other, j->n);
        }
        squares += square;
        if (j->exact) products += square * square / 2, crossed += square * square / 2;
    }
    double *sums = j->sums + task * SUMS;
    sums[0] = squares, sums[1] = products, sums[2] = crossed;
}

static void finish_chi(const jacobian *j, jac_layer *out)
{
    double variance = 0;
    out->chi = mean_over_groups(j, 0, share(j));
    out->spread = 0;
    for (int g = 0; g < j->groups; g++) {
        const double *sums = j->sums + g * SUMS;
        double chi = sums[0] * share(j), fourth = sums[1] / sums[2]; /* sum s^4 / (sum s^2)^2 */
        out->spread += ((double)j->n * fourth - 1) / j->groups;
        variance += chi * chi * 2 * fourth / j->probes;
    }
    double mean = out->chi * j->groups;
    out->variance = j->exact ? 0 : variance / (mean * mean);
}

static err_code measure_chi(jac_run *r)
{
    jacobian *j = r->j;
    for (int p = 0; p < j->probes; p++) {
        fill_probe(r, j->up, p);
        if (pull(r, j->up, vector(j, p, 0))) return ERR_CANCELLED;
    }
    each_group(r, pair_task);
    finish_chi(j, &j->layers[r->layer]);
    return ERR_OK;
}

/* --- sigma ---------------------------------------------------------------------------------- */

/* Steps along v so far that no token changes by more than DIFFERENCE of itself (and one that is
 * shorter than a tenth of the root mean square of all by no more than that one). */
static double step_of(const jacobian *j, int slot, int group)
{
    const real *x = j->x + (size_t)group * j->n, *v = vector(j, slot, group);
    double usual = sqrt(exec_dot(x, x, j->n) / (double)j->n * (double)j->width), most = 0;
    for (size_t t = 0; t < j->n; t += j->width) {
        double length = sqrt(exec_dot(x + t, x + t, j->width)),
               moved = sqrt(exec_dot(v + t, v + t, j->width));
        if (length < usual / 10) length = usual / 10;
        if (moved > most * length) most = moved / length;
    }
    return most > 0 && isfinite(most) ? DIFFERENCE / most : DIFFERENCE;
}

static void displace_task(void *context, int task, int worker)
{
    (void)worker;
    jac_run *r = context;
    const jacobian *j = r->j;
    const real *x = j->x + (size_t)task * j->n, *v = vector(j, r->slot, task);
    real *to = r->target + (size_t)task * j->n, step = (real)(r->sign * step_of(j, r->slot, task));
    for (size_t i = 0; i < j->n; i++) to[i] = x[i] + step * v[i];
}

static void difference_task(void *context, int task, int worker)
{
    (void)worker;
    jac_run *r = context;
    const jacobian *j = r->j;
    real *up = j->up + (size_t)task * j->n;
    const real *down = r->target + (size_t)task * j->n;
    double divisor = 2 * step_of(j, r->slot, task);
    for (size_t i = 0; i < j->n; i++) up[i] = (real)(((double)up[i] - (double)down[i]) / divisor);
}

static err_code forward(const jac_run *r)
{
    return exec_forward_part(&r->s->x, r->layer, r->layer, r->how->progress, r->how->user);
}

/* up = J v, v in the given slot; afterwards the block is as it was. */
static err_code push(jac_run *r, int slot)
{
    jacobian *j = r->j;
    exec *x = &r->s->x;
    x->side = 0;
    real *in = exec_value(x, r->s->g.stream[r->layer - 1], 0),
         *out = exec_value(x, r->s->g.stream[r->layer], 0);
    size_t bytes = (size_t)j->groups * j->n * sizeof *in;
    r->slot = slot, r->target = in, r->sign = 1;
    each_group(r, displace_task);
    if (forward(r)) return ERR_CANCELLED;
    memcpy(j->up, out, bytes);
    r->sign = -1;
    each_group(r, displace_task);
    if (forward(r)) return ERR_CANCELLED;
    r->target = out;
    each_group(r, difference_task);
    memcpy(in, j->x, bytes);
    return forward(r);
}

static void subtract(real *w, const real *v, double factor, size_t n)
{
    for (size_t i = 0; i < n; i++) w[i] = (real)((double)w[i] - factor * (double)v[i]);
}

/* Makes what is in a slot orthogonal to the slots before it and returns what length is left. */
static double reduce(const jacobian *j, int slot, int group)
{
    real *w = vector(j, slot, group);
    for (int twice = 0; twice < 2; twice++)
        for (int i = 0; i < slot; i++) {
            const real *v = vector(j, i, group);
            subtract(w, v, exec_dot(v, w, j->n), j->n);
        }
    return sqrt(exec_dot(w, w, j->n));
}

static void scale(real *w, double factor, size_t n)
{
    for (size_t i = 0; i < n; i++) w[i] = (real)((double)w[i] * factor);
}

static void start_task(void *context, int task, int worker)
{
    (void)worker;
    const jac_run *r = context;
    real *v = vector(r->j, 0, task);
    scale(v, 1 / sqrt(exec_dot(v, v, r->j->n)), r->j->n);
    r->j->steps[task] = 0;
    r->j->stopped[task] = false;
    r->j->sums[task * SUMS + 3] = 0;
}

/* w = J'J v of the last step is in the slot behind v: one more column of T. sums[3] keeps how far
 * J'J is from symmetric. */
static void step_task(void *context, int task, int worker)
{
    (void)worker;
    const jac_run *r = context;
    jacobian *j = r->j;
    int k = r->slot;
    double *diag = j->diag + task * j->iterations, *off = j->off + task * j->iterations;
    if (j->stopped[task]) {
        memset(vector(j, k + 1, task), 0, j->n * sizeof(real));
        return;
    }
    real *w = vector(j, k + 1, task);
    diag[k] = exec_dot(vector(j, k, task), w, j->n);
    if (k) {
        double apart = fabs(exec_dot(vector(j, k - 1, task), w, j->n) - off[k - 1]);
        if (apart > j->sums[task * SUMS + 3]) j->sums[task * SUMS + 3] = apart;
    }
    double size = sqrt(exec_dot(w, w, j->n)), left = reduce(j, k + 1, task);
    off[k] = left;
    j->steps[task] = k + 1;
    j->stopped[task] = !(left > size * 16 * REAL_EPSILON) || (size_t)k + 1 == j->n;
    scale(w, j->stopped[task] ? 0 : 1 / left, j->n);
}

/* The best v of each group, in the slot behind the last. */
static void best_task(void *context, int task, int worker)
{
    (void)worker;
    const jac_run *r = context;
    const jacobian *j = r->j;
    int k = j->steps[task];
    double *s = j->work + (size_t)task * (2 * (size_t)j->iterations + 2);
    real *v = vector(j, r->slot, task);
    lanczos_vector(j->diag + task * j->iterations, j->off + task * j->iterations, k, s,
                   s + j->iterations);
    memset(v, 0, j->n * sizeof *v);
    for (int i = 0; i < k; i++) subtract(v, vector(j, i, task), -s[i], j->n);
    scale(v, 1 / sqrt(exec_dot(v, v, j->n)), j->n);
}

static double length_of(const real *v, size_t n)
{
    return sqrt(exec_dot(v, v, n));
}

/* The largest over groups, with the steps and the last change of that group. */
static void finish_sigma(const jacobian *j, const real *pulled, jac_layer *out)
{
    out->sigma = -1;
    for (int g = 0; g < j->groups; g++) {
        const double *diag = j->diag + g * j->iterations, *off = j->off + g * j->iterations;
        int k = j->steps[g];
        double last = lanczos_eigenvalue(diag, off, k, true),
               before = k > 1 ? lanczos_eigenvalue(diag, off, k - 1, true) : 0;
        double u = length_of(j->up + (size_t)g * j->n, j->n),
               w = length_of(pulled + (size_t)g * j->n, j->n), sigma = u > 0 ? w / u : u;
        out->asymmetric |= j->sums[g * SUMS + 3] > ASYMMETRY * fabs(last);
        if (sigma <= out->sigma) continue; /* what is not a number stays */
        out->sigma = sigma;
        out->iterations = k;
        out->change = j->stopped[g] ? 0 : 1 - sqrt(before > 0 ? before / last : 0);
        if (isnan(sigma)) return;
    }
}

static bool all_stopped(const jacobian *j)
{
    for (int g = 0; g < j->groups; g++)
        if (!j->stopped[g]) return false;
    return true;
}

static err_code measure_sigma(jac_run *r)
{
    jacobian *j = r->j;
    size_t all = (size_t)j->groups * j->n;
    r->s->x.side = 0;
    memcpy(j->x, exec_value(&r->s->x, r->s->g.stream[r->layer - 1], 0), all * sizeof *j->x);
    fill_normal(r, vector(j, 0, 0), j->probes);
    each_group(r, start_task);
    int k = 0;
    for (; k < j->iterations && !all_stopped(j); k++) {
        if (push(r, k) || pull(r, j->up, vector(j, k + 1, 0))) return ERR_CANCELLED;
        r->slot = k;
        each_group(r, step_task);
    }
    r->slot = k;
    each_group(r, best_task);
    real *pulled = vector(j, k + 1, 0);
    if (push(r, k) || pull(r, j->up, pulled)) return ERR_CANCELLED;
    finish_sigma(j, pulled, &j->layers[r->layer]);
    return ERR_OK;
}

/* --- the whole ------------------------------------------------------------------------------ */

static err_code measure_block(jac_run *r)
{
    char name[32];
    snprintf(name, sizeof name, "step %d block %d", r->how->step, r->layer);
    r->random = rng_stream(r->s->spec->seed, "jacobian", name);
    find_leaving(r, r->layer);
    err_code code = r->j->chi ? measure_chi(r) : ERR_OK;
    return !code && r->j->sigma ? measure_sigma(r) : code;
}

static err_code run(session *s, void *state, const extra_pass *how)
{
    jacobian *j = state;
    int depth = s->spec->depth;
    char name[32];
    jac_run r = {.s = s, .j = j, .how = how};
    snprintf(name, sizeof name, "step %d", how->step);
    r.random = rng_stream(s->spec->seed, "jacobian", name);
    s->x.skip_params = true;
    memset(j->layers, 0, ((size_t)depth + 1) * sizeof *j->layers);
    for (int l = 0; l <= depth; l++) j->grads[l] = exec_grad_so_far(&s->x, s->g.stream[l], l, 0);
    err_code code = exec_forward_part(&s->x, 0, depth, how->progress, how->user);
    if (!code && j->end) code = sweep(&r);
    for (r.layer = 1; r.layer <= depth && !code; r.layer++) code = measure_block(&r);
    s->x.skip_params = false;
    return code;
}

static void report(const session *s, const void *state, extra_emit *emit, void *user)
{
    const jacobian *j = state;
    int depth = s->spec->depth;
    for (int l = 0; l <= depth && j->end; l++)
        if (l < depth)
            emit(user, l, l ? SITE_resid_out : SITE_embed, METRIC_jac_end_chi,
                 value_of(j->layers[l].end_chi));
    for (int l = 1; l <= depth; l++) {
        const jac_layer *at = &j->layers[l];
        if (j->chi) {
            emit(user, l, SITE_resid_out, METRIC_jac_chi, value_of(at->chi));
            emit(user, l, SITE_resid_out, METRIC_jac_chi_error, value_of(sqrt(at->variance)));
            emit(user, l, SITE_resid_out, METRIC_jac_spread, value_of(at->spread));
        }
        if (!j->sigma) continue;
        emit(user, l, SITE_resid_out, METRIC_jac_sigma_max,
             at->asymmetric ? value_undefined(REASON_ASYMMETRIC) : value_of(at->sigma));
        emit(user, l, SITE_resid_out, METRIC_jac_sigma_change, value_of(at->change));
        emit(user, l, SITE_resid_out, METRIC_jac_iterations, value_of(at->iterations));
    }
}

const extra extra_jacobian = {.group = GROUP_jacobian,
                              .uses = USES(PROBES) | USES(ITERATIONS),
                              .passes = passes,
                              .layout = layout,
                              .run = run,
                              .report = report};

const gauge gauge_jacobian = {.passes = passes};

/* Norms of a row by their definitions, beside the derivatives (test_ops) and the goldens
 * (test_golden): what the backward pass owes to what the forward pass cannot see, closed forms,
 * limits. The tests that take an index run over the rows of the registry.
 */
#include "core/norm/norm.h"
#include "tests/core/numbers.h"
#include "tests/suite.h"

#include <stdio.h>
#include <string.h>

#if REAL_BITS == 64
static const double rounding = 1e-12, slope_step = 1e-6, slope_error = 1e-7;
#else
static const double rounding = 2e-5, slope_step = 1e-2, slope_error = 5e-3;
#endif

enum { N = 96, MANY = 1 << 16 };
static const double visible = 1e-3; /* what must not hold is off by more */

/* --- one row through one norm --- */

typedef struct pass {
    const norm *n;
    double eps;
    bool affine;
    size_t width;
    real x[N], dy[N], y[N], dx[N], stats[NORM_STATS];
    real gain[N], bias[N], alpha, shift;
    double dgain[N], dbias[N], dalpha, dshift;
} pass;

static bool has(const pass *p, norm_param kind)
{
    bool is_affine = kind == NORM_GAIN || kind == NORM_BIAS;
    return p->n->has & 1u << kind && (p->affine || !is_affine);
}

static void parameters(const pass *p, const real *out[NORM_PARAMS])
{
    out[NORM_GAIN] = has(p, NORM_GAIN) ? p->gain : NULL;
    out[NORM_BIAS] = has(p, NORM_BIAS) ? p->bias : NULL;
    out[NORM_ALPHA] = has(p, NORM_ALPHA) ? &p->alpha : NULL;
    out[NORM_SHIFT] = has(p, NORM_SHIFT) ? &p->shift : NULL;
}

static void apply(pass *p)
{
    const real *at[NORM_PARAMS];
    parameters(p, at);
    p->n->apply(p->y, p->stats, p->x, at, p->width);
}

static void forward(pass *p)
{
    p->n->stats(p->stats, p->x, p->width, p->eps);
    apply(p);
}

static void backward(pass *p)
{
    const real *at[NORM_PARAMS];
    parameters(p, at);
    p->n->input(p->dx, NULL, p->dy, p->x, p->stats, at, p->width);
}

static void parameter_gradients(pass *p)
{
    const real *at[NORM_PARAMS];
    parameters(p, at);
    double *sums[NORM_PARAMS] = {at[NORM_GAIN] ? p->dgain : NULL, at[NORM_BIAS] ? p->dbias : NULL,
                                 at[NORM_ALPHA] ? &p->dalpha : NULL,
                                 at[NORM_SHIFT] ? &p->dshift : NULL};
    p->n->params(sums, p->dy, p->x, p->stats, at, p->width);
}

/* Numbers with a mean, gains about 1, and the passes made. */
static void prepare(pass *p, const norm *n, double eps, bool affine)
{
    uint64_t state = 11;
    memset(p, 0, sizeof *p);
    p->n = n, p->eps = eps, p->affine = affine, p->width = N;
    for (size_t i = 0; i < N; i++) {
        p->x[i] = (real)(0.7 + numbers_normal(&state));
        p->dy[i] = (real)numbers_normal(&state);
        p->gain[i] = (real)(1 + 0.3 * numbers_normal(&state));
        p->bias[i] = (real)(0.2 * numbers_normal(&state));
    }
    p->alpha = R(0.8), p->shift = R(0.3);
    forward(p);
    backward(p);
}

/* The row norm of registry row i, or NULL where there is none: none, batch norms, and norms that
 * are another one by groups. */
static const norm *row_norm(int i)
{
    return norm_table[i]->apply ? norm_table[i] : NULL;
}

static const norm *named(const char *name)
{
    int i = registry_find(&norm_registry, name);
    ck_assert_msg(i >= 0, "no norm %s", name);
    return norm_table[i];
}

static double dot(const real *a, const real *b, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i] * (double)b[i];
    return sum;
}

static double mean_of(const real *a, size_t n)
{
    double sum = 0;
    for (size_t i = 0; i < n; i++) sum += (double)a[i];
    return sum / (double)n;
}

/* The largest |a - c b| relative to the largest |a|. */
static double difference(const real *a, const real *b, double c, size_t n)
{
    double worst = 0, size = 0;
    for (size_t i = 0; i < n; i++) {
        double off = fabs((double)a[i] - c * (double)b[i]);
        worst = isnan(off) ? INFINITY : fmax(worst, off);
        size = fmax(size, fabs((double)a[i]));
    }
    return worst / size;
}

static void holds(const norm *n, const char *what, double off)
{
    ck_assert_msg(off <= rounding, "%s: %s is off by %.3g", n->entry.name, what, off);
}

static void holds_or_not(const norm *n, const char *what, double off, bool expected)
{
    if (expected)
        holds(n, what, off);
    else
        ck_assert_msg(off > visible, "%s: %s holds to %.3g and must not", n->entry.name, what, off);
}

/* --- invariances --- */

static bool ignores_scale(const pass *p, double by)
{
    pass q = *p;
    for (size_t i = 0; i < N; i++) q.x[i] = (real)(by * (double)p->x[i]);
    forward(&q);
    return difference(q.y, p->y, 1, N) < rounding;
}

static bool ignores_shift(const pass *p, double by)
{
    pass q = *p;
    for (size_t i = 0; i < N; i++) q.x[i] = (real)(by + (double)p->x[i]);
    forward(&q);
    return difference(q.y, p->y, 1, N) < rounding;
}

/* What a norm cannot see of x, its gradient has no share of. */
START_TEST(test_gradient_follows_from_what_the_norm_cannot_see)
{
    const norm *n = row_norm(_i);
    for (int affine = 0; n && affine < 2; affine++) {
        pass p, q;
        prepare(&p, n, 0, affine);
        bool scale = ignores_scale(&p, 3.7), shift = ignores_shift(&p, 2.5);
        double sum = 0, size = 0;
        for (size_t i = 0; i < N; i++) sum += (double)p.dx[i], size += fabs((double)p.dx[i]);
        holds_or_not(n, "sum of dx = 0", fabs(sum) / size, shift);
        double lengths = sqrt(dot(p.x, p.x, N) * dot(p.dx, p.dx, N));
        holds_or_not(n, "x.dx = 0", fabs(dot(p.x, p.dx, N)) / lengths, scale);
        q = p;
        for (size_t i = 0; i < N; i++) q.x[i] = R(4.0) * p.x[i];
        forward(&q);
        backward(&q);
        holds_or_not(n, "dx(4 x) = dx(x)/4", difference(p.dx, q.dx, 4, N), scale);
    }
}
END_TEST

static const struct {
    const char *name;
    bool scale, shift;
} invariances[] = {
    {"layernorm", true, true},  {"rmsnorm", true, false},        {"crmsnorm", true, false},
    {"scalenorm", true, false}, {"l2norm", true, false},         {"l1norm", true, true},
    {"dyt", false, false},      {"l1norm_gaussian", true, true}, {"derf", false, false},
};

START_TEST(test_norm_cannot_see_what_it_says)
{
    const norm *n = named(invariances[_i].name);
    pass p;
    prepare(&p, n, 0, true);
    ck_assert_msg(ignores_scale(&p, 0.02) == invariances[_i].scale, "%s: scale", n->entry.name);
    ck_assert_msg(ignores_shift(&p, -3) == invariances[_i].shift, "%s: shift", n->entry.name);
    ck_assert_msg(n->pointwise != invariances[_i].scale, "%s: pointwise", n->entry.name);
}
END_TEST

/* eps inside the root: <dx, xh> = r n mean(g xh) eps/(variance + eps). */
START_TEST(test_share_of_the_gradient_along_x_is_what_eps_leaves)
{
    const char *names[] = {"layernorm", "rmsnorm"};
    const norm *n = named(names[_i]);
    pass p;
    prepare(&p, n, 0.3, true);
    double mu = _i == 0 ? mean_of(p.x, N) : 0, square = 0, along = 0, share = 0;
    for (size_t i = 0; i < N; i++) square += ((double)p.x[i] - mu) * ((double)p.x[i] - mu);
    double variance = square / N, r = 1 / sqrt(variance + 0.3);
    for (size_t i = 0; i < N; i++) {
        double xh = ((double)p.x[i] - mu) * r;
        along += (double)p.gain[i] * (double)p.dy[i] * xh;
        share += (double)p.dx[i] * xh;
    }
    ck_close(share, r * along * 0.3 / (variance + 0.3), 100 * rounding, rounding);
}
END_TEST

/* The table of Ba, Kiros and Hinton 2016, for y = N(W x) over cases x: what may be done to W or to
 * the data without changing y. */
enum { CASES = 4, IN = 5 };

typedef struct layer {
    real w[N][IN], x[CASES][IN];
} layer;

static void layer_outputs(const norm *n, const layer *l, real *y)
{
    pass p;
    prepare(&p, n, 0, true);
    for (size_t c = 0; c < CASES; c++) {
        for (size_t i = 0; i < N; i++) p.x[i] = (real)dot(l->w[i], l->x[c], IN);
        forward(&p);
        memcpy(y + c * N, p.y, sizeof p.y);
    }
}

static void rescale(real *a, size_t n, double by)
{
    for (size_t i = 0; i < n; i++) a[i] = (real)(by * (double)a[i]);
}

static double change(const norm *n, const layer *before, const layer *after)
{
    real a[CASES * N], b[CASES * N];
    layer_outputs(n, before, a);
    layer_outputs(n, after, b);
    return difference(a, b, 1, (size_t)CASES * N);
}

START_TEST(test_table_of_invariances_of_a_normed_layer)
{
    const struct {
        const char *name;
        bool matrix_scale, matrix_shift, vector_scale, data_scale, data_shift, case_scale;
    } rows[] = {{"layernorm", true, true, false, true, false, true},
                {"l1norm", true, true, false, true, false, true},
                {"rmsnorm", true, false, false, true, false, true},
                {"scalenorm", true, false, false, true, false, true},
                {"dyt", false, false, false, false, false, false}};
    const norm *n = named(rows[_i].name);
    layer l, m;
    uint64_t state = 3;
    for (size_t i = 0; i < N * IN; i++) l.w[i / IN][i % IN] = (real)numbers_normal(&state);
    for (size_t i = 0; i < CASES * IN; i++) l.x[i / IN][i % IN] = (real)numbers_normal(&state);
    m = l;
    rescale(m.w[0], N * IN, 2.5);
    holds_or_not(n, "weight matrix rescaled", change(n, &l, &m), rows[_i].matrix_scale);
    m = l;
    for (size_t i = 0; i < N * IN; i++) m.w[i / IN][i % IN] += R(0.3) * (real)(i % IN + 1);
    holds_or_not(n, "weight matrix recentred", change(n, &l, &m), rows[_i].matrix_shift);
    m = l;
    rescale(m.w[7], IN, 2.5);
    holds_or_not(n, "weight vector rescaled", change(n, &l, &m), rows[_i].vector_scale);
    m = l;
    rescale(m.x[0], CASES * IN, 2.5);
    holds_or_not(n, "data rescaled", change(n, &l, &m), rows[_i].data_scale);
    m = l;
    for (size_t i = 0; i < CASES * IN; i++) m.x[i / IN][i % IN] += R(0.3) * (real)(i % IN + 1);
    holds_or_not(n, "data recentred", change(n, &l, &m), rows[_i].data_shift);
    m = l;
    rescale(m.x[2], IN, 2.5);
    holds_or_not(n, "one case rescaled", change(n, &l, &m), rows[_i].case_scale);
}
END_TEST

/* --- the functions of a row agree with each other --- */

START_TEST(test_gradient_is_added_to_a_base_also_in_place)
{
    const norm *n = row_norm(_i);
    for (int affine = 0; n && affine < 2; affine++) {
        pass p;
        real base[N], apart[N], wanted[N];
        const real *at[NORM_PARAMS];
        prepare(&p, n, 1e-3, affine);
        parameters(&p, at);
        for (size_t i = 0; i < N; i++) {
            base[i] = (real)(i % 7) - 3;
            wanted[i] = base[i] + p.dx[i];
        }
        n->input(apart, base, p.dy, p.x, p.stats, at, N);
        holds(n, "base + dx", difference(wanted, apart, 1, N));
        n->input(base, base, p.dy, p.x, p.stats, at, N);
        ck_assert_mem_eq(apart, base, sizeof apart);
    }
}
END_TEST

START_TEST(test_norm_without_affine_part_is_one_of_unit_gain)
{
    const norm *n = row_norm(_i);
    if (!n) return;
    pass p, q;
    prepare(&p, n, 1e-3, true);
    for (size_t i = 0; i < N; i++) p.gain[i] = 1, p.bias[i] = 0;
    q = p;
    q.affine = false;
    forward(&p), backward(&p);
    forward(&q), backward(&q);
    holds(n, "y", difference(p.y, q.y, 1, N));
    holds(n, "dx", difference(p.dx, q.dx, 1, N));
}
END_TEST

START_TEST(test_parameter_gradients_add_up_over_rows)
{
    const norm *n = row_norm(_i);
    if (!n || !n->has) return;
    pass p;
    prepare(&p, n, 1e-3, true);
    parameter_gradients(&p);
    pass once = p;
    parameter_gradients(&p);
    for (size_t i = 0; i < (n->scalar_gain ? 1 : N); i++) {
        ck_close(p.dgain[i], 2 * once.dgain[i], rounding, rounding);
        ck_close(p.dbias[i], has(&p, NORM_BIAS) ? 2 * (double)p.dy[i] : 0, rounding, rounding);
    }
    ck_close(p.dalpha, 2 * once.dalpha, rounding, rounding);
    ck_close(p.dshift, 2 * once.dshift, rounding, rounding);
    if (n->has & 1u << NORM_GAIN) ck_assert(once.dgain[0] != 0);
}
END_TEST

/* A frozen deviation is a constant of the derivative; what else the norm measures is not. */
START_TEST(test_frozen_gradient_is_the_slope_at_a_constant_deviation)
{
    const norm *n = row_norm(_i);
    if (!n || !n->frozen_input) return;
    pass p;
    const real *at[NORM_PARAMS];
    prepare(&p, n, 1e-3, true);
    const real r = (real)(0.6 * (double)p.stats[1]);
    parameters(&p, at);
    p.stats[1] = r;
    n->frozen_input(p.dx, NULL, p.dy, p.x, p.stats, at, N);
    for (size_t i = 0; i < N; i += 5) {
        double loss[2];
        for (int side = 0; side < 2; side++) {
            pass q = p;
            q.x[i] += (real)(side ? slope_step : -slope_step);
            n->stats(q.stats, q.x, N, q.eps);
            q.stats[1] = r;
            apply(&q);
            loss[side] = dot(q.y, q.dy, N);
        }
        ck_close((loss[1] - loss[0]) / (2 * slope_step), (double)p.dx[i], slope_error, slope_error);
    }
}
END_TEST

START_TEST(test_nan_is_kept_and_a_row_of_zeros_is_a_result)
{
    const norm *n = row_norm(_i);
    if (!n) return;
    pass p;
    prepare(&p, n, 1e-5, true);
    p.x[5] = (real)NAN;
    forward(&p), backward(&p);
    ck_assert_msg(isnan(p.y[5]) && isnan(p.dx[5]), "%s swallowed a NaN", n->entry.name);
    prepare(&p, n, 1e-5, false);
    p.shift = 0;
    memset(p.x, 0, sizeof p.x);
    forward(&p);
    for (size_t i = 0; i < N; i++)
        ck_assert_msg(p.y[i] == 0 || strcmp(n->entry.name, "l2norm") == 0, "%s of zeros",
                      n->entry.name);
}
END_TEST

/* --- closed forms --- */

START_TEST(test_scalenorm_begins_as_rmsnorm)
{
    pass s, r;
    prepare(&s, named("scalenorm"), 1e-5, true);
    prepare(&r, named("rmsnorm"), 0, false);
    s.gain[0] = (real)sqrt((double)N);
    forward(&s), backward(&s);
    holds(s.n, "y of rmsnorm", difference(r.y, s.y, 1, N));
    holds(s.n, "dx of rmsnorm", difference(r.dx, s.dx, 1, N));
    s.dgain[0] = 0;
    parameter_gradients(&s);
    ck_close(s.dgain[0], dot(s.dy, s.x, N) / sqrt(dot(s.x, s.x, N)), 10 * rounding, rounding);
}
END_TEST

START_TEST(test_scalenorm_divides_short_rows_by_eps)
{
    pass p;
    prepare(&p, named("scalenorm"), 100, true);
    double g = (double)p.gain[0] / 100;
    holds(p.n, "y = g x/eps", difference(p.y, p.x, g, N));
    holds(p.n, "dx = g dy/eps", difference(p.dx, p.dy, g, N));
    p.dgain[0] = 0;
    parameter_gradients(&p);
    ck_close(p.dgain[0], dot(p.dy, p.x, N) / 100, 10 * rounding, rounding);
}
END_TEST

/* Near 0 the two are straight lines, far out they are signs. slope: of the function at 0. */
START_TEST(test_dyt_and_derf_are_linear_near_zero_and_signs_far_out)
{
    const char *names[] = {"dyt", "derf"};
    const double slopes[] = {1, 2 / sqrt(3.14159265358979323846)};
    const norm *n = named(names[_i]);
    pass p;
    prepare(&p, n, 0, true);
    p.shift = 0;
    const double alpha = REAL_BITS == 64 ? 1e-7 : 1e-3;
    p.alpha = (real)alpha;
    forward(&p), backward(&p);
    for (size_t i = 0; i < N; i++) {
        double slope = alpha * slopes[_i] * (double)p.gain[i];
        ck_close((double)p.dx[i], slope * (double)p.dy[i], 2e-5, 0);
        ck_close((double)p.y[i], slope * (double)p.x[i] + (double)p.bias[i], 2e-5, 0);
    }
    p.alpha = R(1e6);
    forward(&p), backward(&p);
    for (size_t i = 0; i < N; i++) {
        double sign = p.x[i] > 0 ? 1 : -1;
        ck_close((double)p.y[i], sign * (double)p.gain[i] + (double)p.bias[i], rounding, 0);
        ck_assert(p.dx[i] == 0);
    }
}
END_TEST

START_TEST(test_dyt_and_derf_are_tanh_and_erf)
{
    pass t, e;
    prepare(&t, named("dyt"), 0, true);
    prepare(&e, named("derf"), 0, true);
    for (size_t i = 0; i < N; i++) {
        double u = (double)t.alpha * (double)t.x[i], gain = (double)t.gain[i];
        ck_close((double)t.y[i], gain * tanh(u) + (double)t.bias[i], 10 * rounding, rounding);
        u += (double)e.shift;
        ck_close((double)e.y[i], gain * erf(u) + (double)e.bias[i], 10 * rounding, rounding);
        double slope = 2 / sqrt(3.14159265358979323846) * exp(-u * u) * (double)e.alpha * gain;
        ck_close((double)e.dx[i], slope * (double)e.dy[i], 10 * rounding, rounding);
    }
}
END_TEST

/* The last entry of a row without mean is minus the sum of the others: CRMSNorm of the others is
 * RMSNorm of the row, and its gradient that of the row with the last entry's share passed on. */
START_TEST(test_crmsnorm_is_rmsnorm_of_the_completed_row)
{
    pass full, part;
    prepare(&full, named("rmsnorm"), 1e-3, false);
    prepare(&part, named("crmsnorm"), 1e-3, false);
    double mu = mean_of(full.x, N), sum = 0;
    for (size_t i = 0; i + 1 < N; i++) {
        full.x[i] = (real)((double)full.x[i] - mu);
        sum += (double)full.x[i];
    }
    full.x[N - 1] = (real)-sum;
    full.dy[N - 1] = 0;
    memcpy(part.x, full.x, sizeof part.x);
    part.width = N - 1;
    forward(&full), backward(&full);
    forward(&part), backward(&part);
    holds(part.n, "y of rmsnorm", difference(full.y, part.y, 1, N - 1));
    real wanted[N];
    for (size_t i = 0; i + 1 < N; i++) wanted[i] = full.dx[i] - full.dx[N - 1];
    holds(part.n, "dx of rmsnorm", difference(wanted, part.dx, 1, N - 1));
}
END_TEST

/* Variance of the outputs of a long row; laplace: of a distribution with E|x| = sigma/sqrt(2). */
static double output_variance(const norm *n, bool laplace)
{
    real *x = numbers_matrix(MANY, 17), *y = numbers_matrix(MANY, 17), stats[NORM_STATS];
    const real *none[NORM_PARAMS] = {NULL};
    uint64_t state = 23;
    for (size_t i = 0; laplace && i < MANY; i++) {
        double u = numbers_uniform(&state) - 0.5;
        x[i] = (real)(u < 0 ? log(1 + 2 * u) : -log(1 - 2 * u));
    }
    n->stats(stats, x, MANY, 0);
    n->apply(y, stats, x, none, MANY);
    double mu = mean_of(y, MANY), variance = dot(y, y, MANY) / MANY - mu * mu;
    free(x);
    free(y);
    return variance;
}

/* The standard error is sqrt(2/n) = 0.6 % for Gaussian rows, sqrt(5/n) = 0.9 % for Laplace rows. */
START_TEST(test_l1norm_tells_gaussian_from_laplace_rows)
{
    const double pi = 3.14159265358979323846, error = 0.04;
    ck_close(output_variance(named("l1norm"), false), pi / 2, error, 0);
    ck_close(output_variance(named("l1norm_gaussian"), false), 1, error, 0);
    ck_close(output_variance(named("l1norm"), true), 2, error, 0);
    ck_close(output_variance(named("l1norm_gaussian"), true), 4 / pi, error, 0);
    ck_close(output_variance(named("layernorm"), false), 1, 1e-3, 0);
    ck_close(output_variance(named("layernorm"), true), 1, 1e-3, 0);
}
END_TEST

/* The term of the gradient that comes through the deviation, of the entry that is sigmas away from
 * the rest, relative to mean(g xh). */
static double outlier_term(const norm *n, double sigmas)
{
    pass p;
    prepare(&p, n, 0, false);
    p.x[9] = (real)sigmas;
    p.dy[9] = 2; /* not balanced by the others */
    forward(&p), backward(&p);
    double along = dot(p.dy, p.y, N) / N, g = (double)p.dy[9] - mean_of(p.dy, N);
    return fabs(g - (double)p.dx[9] / (double)p.stats[1]) / fabs(along);
}

START_TEST(test_l1norm_bounds_the_gradient_of_an_outlier)
{
    const double c = sqrt(3.14159265358979323846 / 2);
    const double sizes[] = {3, 50, 5000};
    for (int i = 0; i < 3; i++) {
        ck_assert_double_le(outlier_term(named("l1norm"), sizes[i]), 2 + 10 * rounding);
        ck_assert_double_le(outlier_term(named("l1norm_gaussian"), sizes[i]),
                            2 * c + 10 * rounding);
    }
    /* layernorm's is the entry's own xh, nearly sqrt(n) */
    ck_assert_double_ge(outlier_term(named("layernorm"), 50), 0.9 * sqrt(N));
}
END_TEST

/* A removed LayerNorm as it is exported: eps 1e12 and the gain times 1e6 over the constant sigma.
 * The error is variance/2e12. */
START_TEST(test_layernorm_with_eps_1e12_divides_by_a_constant)
{
    const double sigma = 1.7;
    pass huge, frozen;
    const real *at[NORM_PARAMS];
    prepare(&frozen, named("layernorm"), 1e-5, true);
    frozen.stats[1] = (real)(1 / sigma);
    apply(&frozen);
    parameters(&frozen, at);
    frozen.n->frozen_input(frozen.dx, NULL, frozen.dy, frozen.x, frozen.stats, at, N);
    prepare(&huge, named("layernorm"), 1e12, true);
    for (size_t i = 0; i < N; i++) huge.gain[i] *= (real)(1e6 / sigma);
    forward(&huge), backward(&huge);
    holds(huge.n, "y with eps 1e12", difference(frozen.y, huge.y, 1, N));
    holds(huge.n, "dx with eps 1e12", difference(frozen.dx, huge.dx, 1, N));
}
END_TEST

/* float32 loses no digits to a mean that is large beside the spread, nor to the square of a large
 * or small scale. */
START_TEST(test_large_means_and_scales_cost_no_digits)
{
    const char *centred[] = {"layernorm", "l1norm"};
    for (int i = 0; i < 2; i++) {
        pass p, q;
        prepare(&p, named(centred[i]), 0, false);
        for (size_t k = 0; k < N; k++) p.x[k] = (real)(round(64 * (double)p.x[k]) / 64);
        q = p;
        for (size_t k = 0; k < N; k++) q.x[k] += 4096; /* exact */
        forward(&p), forward(&q);
        ck_assert_double_lt(difference(p.y, q.y, 1, N), 1e3 * rounding);
    }
    const char *lengths[] = {"scalenorm", "l2norm"};
    for (int i = 0; i < 2; i++) {
        pass p;
        prepare(&p, named(lengths[i]), 0, false);
        ck_assert(ignores_scale(&p, 0x1p70) && ignores_scale(&p, 0x1p-70));
    }
}
END_TEST

int main(void)
{
    Suite *s = suite_create("norms");
    TCase *t = tcase_create("rows");
    int n = norm_registry.n;
    tcase_add_loop_test(t, test_gradient_follows_from_what_the_norm_cannot_see, 0, n);
    tcase_add_loop_test(t, test_norm_cannot_see_what_it_says, 0,
                        sizeof invariances / sizeof *invariances);
    tcase_add_loop_test(t, test_share_of_the_gradient_along_x_is_what_eps_leaves, 0, 2);
    tcase_add_loop_test(t, test_table_of_invariances_of_a_normed_layer, 0, 5);
    tcase_add_loop_test(t, test_gradient_is_added_to_a_base_also_in_place, 0, n);
    tcase_add_loop_test(t, test_norm_without_affine_part_is_one_of_unit_gain, 0, n);
    tcase_add_loop_test(t, test_parameter_gradients_add_up_over_rows, 0, n);
    tcase_add_loop_test(t, test_frozen_gradient_is_the_slope_at_a_constant_deviation, 0, n);
    tcase_add_loop_test(t, test_nan_is_kept_and_a_row_of_zeros_is_a_result, 0, n);
    tcase_add_test(t, test_scalenorm_begins_as_rmsnorm);
    tcase_add_test(t, test_scalenorm_divides_short_rows_by_eps);
    tcase_add_loop_test(t, test_dyt_and_derf_are_linear_near_zero_and_signs_far_out, 0, 2);
    tcase_add_test(t, test_dyt_and_derf_are_tanh_and_erf);
    tcase_add_test(t, test_crmsnorm_is_rmsnorm_of_the_completed_row);
    tcase_add_test(t, test_l1norm_tells_gaussian_from_laplace_rows);
    tcase_add_test(t, test_l1norm_bounds_the_gradient_of_an_outlier);
    tcase_add_test(t, test_layernorm_with_eps_1e12_divides_by_a_constant);
    tcase_add_test(t, test_large_means_and_scales_cost_no_digits);
    suite_add_tcase(s, t);
    return suite_run(s);
}

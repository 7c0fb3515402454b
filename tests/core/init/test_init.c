/* Initial weights: every scheme's law against formulas written a second time here, and what does
 * not change a number: the team, the other parameters, the panels of an orthogonal matrix.
 *
 * The seeds are fixed, so a test passes always or never. Statistics are held to four standard
 * errors of their estimator, which an unlucky seed would exceed once in 16 000. */
#include "core/engine.h"
#include "core/math/orthogonal.h"
#include "core/model/weights.h"
#include "core/placement/placement.h"
#include "core/run/session.h"
#include "tests/spec_defaults.h"
#include "tests/suite.h"

#include <check.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

extern const engine engine_table;

enum { D = 192, H = 4, KV = 2, HEAD = 48, F = 520, V = 700, T = 80 };

static int row(const char *kind, const char *name)
{
    for (const registry *const *r = engine_table.registries; *r; r++)
        if (!strcmp((*r)->kind, kind)) {
            int i = registry_find(*r, name);
            ck_assert_msg(i >= 0, "no row %s in %s", name, kind);
            return i;
        }
    ck_abort_msg("no registry %s", kind);
}

/* Odd depths: no gate, tied. */
static run_spec spec_of(const char *scheme, int depth)
{
    bool odd = depth % 2;
    run_spec s = {.depth = depth, .seed = 7};
    s.model = (spec_model){.d_model = D,
                           .n_heads = H,
                           .n_kv_heads = KV,
                           .d_ff = F,
                           .vocab = V,
                           .position = row("positions", "learned"),
                           .rope_base = 1e4,
                           .activation = row("activations", odd ? "relu" : "swiglu"),
                           .tied = odd,
                           .embed_scale = 1};
    s.strategy = (spec_strategy){.placement = row("placements", "pre_ln"),
                                 .norm = row("norms", "layernorm"),
                                 .eps = 1e-5,
                                 .affine = true,
                                 .final_norm = true,
                                 .residual_scale = 1};
    spec_defaults(&s, row("norms", "layernorm"));
    s.init.scheme = row("inits", scheme);
    s.init.std = engine_table.init_std(&s);
    s.init.depth_scale = engine_table.init_depth_scale(s.init.scheme);
    s.data = (spec_data){
        .source = row("data_sources", "random_tokens"), .batch = 1, .seq_len = T, .batches = 1};
    s.train = (spec_train){.loss = row("losses", "cross_entropy"), .clip = (double)NAN};
    s.measure.n_steps = 1;
    return s;
}

/* A network, with its weights where they are asked for. */
typedef struct net {
    run_spec spec;
    session s;
    void *tables;
    size_t count;
    real *weights;
} net;

static void fill(real *to, const net *n, int threads)
{
    team t;
    error err = {0};
    ck_assert_int_eq(team_start(&t, threads, &err), ERR_OK);
    double *scratch = malloc(init_scratch_bytes(&n->s.g, threads) + 1);
    ck_assert_ptr_nonnull(scratch);
    init_fill(&n->s.g, to, scratch, &t);
    free(scratch);
    team_stop(&t);
}

static net *net_new(const run_spec *spec)
{
    net *n = calloc(1, sizeof *n);
    ck_assert_ptr_nonnull(n);
    n->spec = *spec;
    size_t bytes = session_table_bytes(spec);
    n->tables = aligned_alloc(ARENA_ALIGN, (bytes / ARENA_ALIGN + 1) * ARENA_ALIGN);
    ck_assert_ptr_nonnull(n->tables);
    arena a;
    error err = {0};
    arena_init(&a, n->tables, bytes);
    ck_assert_msg(session_build(&n->s, &n->spec, false, &a, &err) == ERR_OK, "%s", err.message);
    const graph *g = &n->s.g;
    n->count = g->params[g->n_params - 1].data + g->params[g->n_params - 1].count;
    arena_release(n->tables, bytes);
    return n;
}

static net *net_filled(const run_spec *spec)
{
    net *n = net_new(spec);
    n->weights = malloc(n->count * sizeof *n->weights);
    ck_assert_ptr_nonnull(n->weights);
    for (size_t i = 0; i < n->count; i++) n->weights[i] = (real)NAN;
    fill(n->weights, n, 1);
    return n;
}

static void net_free(net *n)
{
    free(n->weights);
    free(n->tables);
    free(n);
}

static const param *param_of(const net *n, const char *name)
{
    int i = graph_find_param(&n->s.g, name);
    ck_assert_msg(i != NONE, "no parameter %s", name);
    return &n->s.g.params[i];
}

static const real *weights_of(const net *n, const char *name)
{
    return n->weights + param_of(n, name)->data;
}

/* --- the formulas, once more ------------------------------------------------------------------ */

typedef struct distribution {
    double std;   /* of the entries */
    double bound; /* of |x|; INFINITY: a normal law */
    double cut;   /* 0: a uniform law where there is a bound */
} distribution;

static distribution normal(double std)
{
    return (distribution){.std = std, .bound = (double)INFINITY};
}

/* Var given |z| <= k is 1 - 2 k phi(k) / (2 Phi(k) - 1). */
static distribution truncated(double std, double k)
{
    double density = exp(-k * k / 2) / sqrt(2 * acos(-1.0));
    return (distribution){
        .std = std * sqrt(1 - 2 * k * density / erf(k / sqrt(2))), .bound = k * std, .cut = k};
}

static distribution uniform(double bound)
{
    return (distribution){.std = bound / sqrt(3), .bound = bound};
}

/* What a matrix is, from its role and the sizes above. */
typedef struct place {
    char what; /* 'e'mbedding, 'p'osition, 'h'ead, 'q', 'v' (k or v), 'o', 'g'ate, 'u'p, 'd'own */
    double in, out;
    int l, depth;
    bool tied, gated;
} place;

static place place_of(const net *n, const param *p)
{
    static const struct {
        const char *role;
        place place;
    } places[] = {
        {"embed.weight", {.what = 'e', .in = D, .out = V}},
        {"pos.weight", {.what = 'p', .in = D, .out = T}},
        {"lm_head.weight", {.what = 'h', .in = D, .out = V}},
        {"attn.q.weight", {.what = 'q', .in = D, .out = H * HEAD}},
        {"attn.k.weight", {.what = 'v', .in = D, .out = KV * HEAD}},
        {"attn.v.weight", {.what = 'v', .in = D, .out = KV * HEAD}},
        {"attn.o.weight", {.what = 'o', .in = H * HEAD, .out = D}},
        {"mlp.gate.weight", {.what = 'g', .in = D, .out = F}},
        {"mlp.up.weight", {.what = 'u', .in = D, .out = F}},
        {"mlp.down.weight", {.what = 'd', .in = F, .out = D}},
    };
    for (size_t i = 0; i < sizeof places / sizeof *places; i++) {
        if (strcmp(places[i].role, p->role) != 0) continue;
        place at = places[i].place;
        at.l = p->layer;
        at.depth = n->spec.depth;
        at.tied = n->spec.model.tied;
        at.gated = !at.tied;
        ck_assert_uint_eq(p->count, (size_t)(at.in * at.out));
        return at;
    }
    ck_abort_msg("no formula for %s", p->name);
}

static bool is_table(const place *at)
{
    return at->what == 'e' || at->what == 'p';
}

static bool is_outside(const place *at)
{
    return is_table(at) || at->what == 'h';
}

static bool writes(const place *at)
{
    return at->what == 'o' || at->what == 'd';
}

static double xavier_std(const place *at)
{
    return sqrt(2 / (at->in + at->out));
}

static distribution gpt2(const place *at)
{
    return normal(writes(at) ? 0.02 / sqrt(2.0 * at->depth) : 0.02);
}

static distribution xavier(const place *at)
{
    return normal(xavier_std(at));
}

static distribution lecun(const place *at)
{
    return normal(1 / sqrt(at->in));
}

static distribution constant(const place *at)
{
    (void)at;
    return normal(0.02);
}

static distribution truncated_normal(const place *at)
{
    (void)at;
    return truncated(0.02, 3);
}

static distribution bert(const place *at)
{
    (void)at;
    return truncated(0.02, 2);
}

static distribution megatron(const place *at)
{
    return truncated(writes(at) ? 0.02 / sqrt(2.0 * at->depth) : 0.02, 3);
}

static distribution full_megatron(const place *at)
{
    if (at->what == 'h') return truncated(1 / sqrt(D), 3);
    double s = sqrt(2 / (5.0 * D));
    return truncated(writes(at) ? s / sqrt(2.0 * at->depth) : s, 3);
}

static distribution mitchell(const place *at)
{
    if (at->what == 'o') return truncated(1 / sqrt(2.0 * D * at->l), 3);
    if (at->what == 'd') return truncated(1 / sqrt(2.0 * F * at->l), 3);
    return truncated(1 / sqrt(D), 3);
}

static distribution small_init(const place *at)
{
    if (is_outside(at)) return normal(1 / sqrt(D));
    bool attention = strchr("qvo", at->what) != NULL;
    return normal(attention ? sqrt(2 / (5.0 * D)) : sqrt(2.0 / (D + F)));
}

static distribution fixnorm(const place *at)
{
    return at->what == 'e' ? uniform(0.01) : small_init(at);
}

static distribution depth_per_layer(const place *at)
{
    if (at->what == 'h' || (at->what == 'e' && at->tied)) return truncated(1 / sqrt(D), 3);
    if (is_table(at)) return normal(1);
    bool scaled = writes(at) || (at->what == 'u' && at->gated);
    return normal(scaled ? 0.02 / sqrt(2.0 * at->l) : 0.02);
}

static distribution xavier_uniform(const place *at)
{
    return uniform(sqrt(6 / (at->in + at->out)));
}

static distribution fairseq(const place *at)
{
    if (is_outside(at)) return normal(1 / sqrt(D));
    double gain = strchr("qv", at->what) ? 1 / sqrt(2) : 1;
    return uniform(gain * sqrt(6 / (at->in + at->out)));
}

static distribution he(const place *at)
{
    return normal(is_outside(at) ? 1 / sqrt(D) : sqrt(2 / at->in));
}

static distribution tiny_init(const place *at)
{
    return normal(1 / sqrt(2.0 * D * at->depth));
}

/* Its matrices have a test of their own; each entry has variance 1/max(in, out). */
static distribution orthogonal(const place *at)
{
    return normal(1 / sqrt(is_outside(at) || at->in > at->out ? at->in : at->out));
}

static distribution palm(const place *at)
{
    return normal(is_table(at) ? 1 : 1 / sqrt(at->in));
}

static distribution t5(const place *at)
{
    if (is_outside(at)) return normal(1);
    return normal(at->what == 'q' ? 1 / sqrt((double)D * HEAD) : 1 / sqrt(at->in));
}

static distribution pytorch(const place *at)
{
    return is_table(at) ? normal(1) : uniform(1 / sqrt(at->in));
}

static const struct {
    const char *scheme;
    distribution (*law)(const place *at);
} formulas[] = {
    {"gpt2", gpt2},
    {"xavier", xavier},
    {"lecun", lecun},
    {"small", constant},
    {"normal", constant},
    {"truncated_normal", truncated_normal},
    {"bert", bert},
    {"megatron", megatron},
    {"full_megatron", full_megatron},
    {"mitchell", mitchell},
    {"small_init", small_init},
    {"fixnorm", fixnorm},
    {"depth_per_layer", depth_per_layer},
    {"xavier_uniform", xavier_uniform},
    {"fairseq", fairseq},
    {"he", he},
    {"tiny_init", tiny_init},
    {"orthogonal", orthogonal},
    {"palm", palm},
    {"t5", t5},
    {"pytorch", pytorch},
};
enum { N_FORMULAS = sizeof formulas / sizeof *formulas };

/* --- laws ------------------------------------------------------------------------------------- */

static void check_moments(const real *w, size_t n, distribution expected, const char *what)
{
    double mean = 0, square = 0;
    for (size_t i = 0; i < n; i++) mean += (double)w[i];
    mean /= (double)n;
    for (size_t i = 0; i < n; i++) square += ((double)w[i] - mean) * ((double)w[i] - mean);
    double variance = square / ((double)n - 1), std = expected.std;
    bool is_uniform = isfinite(expected.bound) && !expected.cut;
    /* m4/m2^2 of the law; that of a truncated normal lies below 3, which serves as a bound */
    double kurtosis = is_uniform ? 1.8 : 3;
    ck_assert_msg(fabs(mean) <= 4 * std / sqrt((double)n), "%s: mean %g, std %g of %zu", what, mean,
                  std, n);
    double off = variance / (std * std) - 1, allowed = 4 * sqrt((kurtosis - 1) / (double)n);
    ck_assert_msg(fabs(off) <= allowed, "%s: variance %g, expected %g; off by %g, allowed %g", what,
                  variance, std * std, off, allowed);
}

/* The largest entry. A uniform law comes within 20/n of its bound but for a chance of e^-20; of a
 * truncated one some 30 of 15000 entries lie in the last twentieth before the cut; of a normal one
 * about 20 of 15000 beyond 3.2 std and none beyond 6.5. */
static void check_range(const real *w, size_t n, distribution expected, const char *what)
{
    double most = 0;
    for (size_t i = 0; i < n; i++) most = fmax(most, fabs((double)w[i]));
    double low = 3.2 * expected.std, high = 6.5 * expected.std;
    if (isfinite(expected.bound)) {
        low = expected.cut ? 0.95 * expected.bound : (1 - 20 / (double)n) * expected.bound;
        high = (double)(real)(expected.bound * (1 + 1e-15));
    }
    ck_assert_msg(low <= most && most <= high, "%s: largest entry %.17g, expected %.17g to %.17g",
                  what, most, low, high);
}

START_TEST(test_every_scheme_follows_its_formula)
{
    const char *scheme = init_table[_i / 2]->entry.name;
    int f = 0;
    while (f < N_FORMULAS && strcmp(formulas[f].scheme, scheme) != 0) f++;
    ck_assert_msg(f < N_FORMULAS, "no formula for %s: write it down a second time here", scheme);
    run_spec spec = spec_of(scheme, _i % 2 ? 5 : 2);
    net *n = net_filled(&spec);
    int matrices = 0;
    for (int i = 0; i < n->s.g.n_params; i++) {
        const param *p = &n->s.g.params[i];
        if (p->rank == 1) continue;
        char what[128];
        snprintf(what, sizeof what, "%s, %s", scheme, p->name);
        place at = place_of(n, p);
        distribution expected = formulas[f].law(&at);
        check_moments(n->weights + p->data, p->count, expected, what);
        if (init_rule_of(&spec, p).law != INIT_ORTHOGONAL)
            check_range(n->weights + p->data, p->count, expected, what);
        matrices++;
    }
    ck_assert_int_eq(matrices, _i % 2 ? 2 + 5 * 6 : 3 + 2 * 7);
    net_free(n);
}
END_TEST

START_TEST(test_vectors_start_at_their_start)
{
    run_spec spec = spec_of("gpt2", 2);
    spec.model.qkv_bias = spec.model.mlp_bias = true;
    spec.strategy.gain_init = 0.75;
    net *n = net_filled(&spec);
    int seen[2] = {0};
    for (int i = 0; i < n->s.g.n_params; i++) {
        const param *p = &n->s.g.params[i];
        if (p->rank != 1) continue;
        double start = p->kind == PARAM_GAIN ? 0.75 : 0;
        size_t others = 0;
        for (size_t k = 0; k < p->count; k++) others += (double)n->weights[p->data + k] != start;
        ck_assert_uint_eq(others, 0);
        seen[p->kind == PARAM_GAIN]++;
    }
    ck_assert_int_gt(seen[0], 5);
    ck_assert_int_gt(seen[1], 3);
    net_free(n);
}
END_TEST

/* The four schemes that were there first give the numbers they gave: std times the stream. */
START_TEST(test_normal_weights_are_the_stream_times_the_std)
{
    static const char *const schemes[] = {"gpt2", "xavier", "lecun", "small"};
    const double stds[] = {0.02 / sqrt(2.0 * 2), sqrt(2.0 / (double)(D + F)), sqrt(1.0 / (double)F),
                           0.02};
    const char *name = "blocks.1.mlp.down.weight";
    run_spec spec = spec_of(schemes[_i], 2);
    net *n = net_filled(&spec);
    const real *w = weights_of(n, name);
    rng r = rng_stream(spec.seed, "init", name);
    double z[RNG_BLOCK];
    size_t others = 0;
    for (size_t i = 0; i < (size_t)D * F; i++) {
        if (i % RNG_BLOCK == 0) rng_normal_block(&r, i / RNG_BLOCK, z);
        others += w[i] != (real)(stds[_i] * z[i % RNG_BLOCK]);
    }
    ck_assert_uint_eq(others, 0);
    net_free(n);
}
END_TEST

/* Truncation draws again what is beyond the cut, and nothing else. */
START_TEST(test_a_truncated_law_is_the_normal_one_within_its_cut)
{
    run_spec specs[] = {spec_of("normal", 2), spec_of("bert", 2)};
    net *plain = net_filled(&specs[0]), *cut = net_filled(&specs[1]);
    const char *name = "embed.weight";
    const real *a = weights_of(plain, name), *b = weights_of(cut, name);
    size_t beyond = 0, others = 0, n = (size_t)V * D;
    for (size_t i = 0; i < n; i++) {
        bool within = fabs((double)a[i]) <= (double)(real)0.04;
        beyond += !within;
        others += within ? a[i] != b[i] : fabs((double)b[i]) > (double)(real)0.04;
    }
    ck_assert_uint_eq(others, 0);
    /* 4.55 % of a normal law is beyond 2 std; four standard errors of a count */
    double expected = erfc(2 / sqrt(2)) * (double)n;
    ck_assert_double_eq_tol((double)beyond, expected, 4 * sqrt(expected));
    net_free(plain);
    net_free(cut);
}
END_TEST

/* --- orthogonal matrices ---------------------------------------------------------------------- */

/* An entry of W W' or W' W is a sum of products of numbers that were rounded once to real. */
static const double ORTHOGONAL_TOLERANCE = REAL_BITS == 64 ? 1e-12 : 1e-6;

static void check_orthonormal(const real *w, size_t out, size_t in, double gain, const char *what)
{
    bool tall = out > in;
    size_t n = tall ? in : out, m = tall ? out : in, step = tall ? in : 1, next = tall ? 1 : in;
    double worst = 0;
    for (size_t a = 0; a < n; a++)
        for (size_t b = 0; b <= a; b++) {
            double dot = 0;
            for (size_t i = 0; i < m; i++)
                dot += (double)w[a * next + i * step] * (double)w[b * next + i * step];
            worst = fmax(worst, fabs(dot / (gain * gain) - (a == b)));
        }
    ck_assert_msg(worst <= ORTHOGONAL_TOLERANCE, "%s: off by %g", what, worst);
}

START_TEST(test_orthogonal_matrices_are_orthogonal)
{
    run_spec spec = spec_of("orthogonal", 2);
    spec.init.gain = 1.5;
    net *n = net_filled(&spec);
    int seen = 0;
    for (int i = 0; i < n->s.g.n_params; i++) {
        const param *p = &n->s.g.params[i];
        if (p->kind != PARAM_INNER && p->kind != PARAM_OUTER) continue;
        check_orthonormal(n->weights + p->data, p->dims[0], p->dims[1], 1.5, p->name);
        seen++;
    }
    ck_assert_int_eq(seen, 2 * 7);
    net_free(n);
}
END_TEST

START_TEST(test_a_column_does_not_depend_on_the_panel)
{
    enum { M = 300 };
    static const size_t shapes[][2] = {{0, ORTHOGONAL_PANEL}, {3, 7}, {100, ORTHOGONAL_PANEL}};
    rng r = rng_stream(1, "test", "panel");
    double *panel = malloc(orthogonal_doubles(M) * sizeof *panel),
           *one = malloc(orthogonal_doubles(M) * sizeof *one);
    ck_assert(panel && one);
    for (size_t s = 0; s < sizeof shapes / sizeof *shapes; s++) {
        orthogonal_panel(panel, M, shapes[s][0], shapes[s][1], &r);
        for (size_t j = 0; j < shapes[s][1]; j++) {
            orthogonal_panel(one, M, shapes[s][0] + j, 1, &r);
            size_t others = 0;
            for (size_t i = 0; i < M; i++)
                others += panel[i * ORTHOGONAL_PANEL + j] != one[i * ORTHOGONAL_PANEL];
            ck_assert_uint_eq(others, 0);
        }
    }
    free(panel);
    free(one);
}
END_TEST

/* Haar on O(3): every entry has mean 0 and second moment 1/3, the square of the second moment 1/5,
 * and the trace has mean 0 and variance 1. Without the sign of R_kk the first entry would be
 * negative always. */
START_TEST(test_small_orthogonal_matrices_are_uniform)
{
    enum { N = 20000, M = 3 };
    double sum[M][M] = {0}, square[M][M] = {0}, trace = 0, trace_square = 0;
    double *q = malloc(orthogonal_doubles(M) * sizeof *q);
    ck_assert_ptr_nonnull(q);
    for (uint64_t s = 0; s < N; s++) {
        rng r = rng_stream(s, "test", "haar");
        double t = 0;
        orthogonal_panel(q, M, 0, M, &r);
        for (int i = 0; i < M; i++)
            for (int j = 0; j < M; j++) {
                double x = q[i * ORTHOGONAL_PANEL + j];
                sum[i][j] += x / N;
                square[i][j] += x * x / N;
                t += i == j ? x : 0;
            }
        trace += t / N;
        trace_square += t * t / N;
    }
    for (int i = 0; i < M; i++)
        for (int j = 0; j < M; j++) {
            ck_assert_double_eq_tol(sum[i][j], 0, 4 * sqrt(1.0 / 3 / N));
            ck_assert_double_eq_tol(square[i][j], 1.0 / 3, 4 * sqrt((1.0 / 5 - 1.0 / 9) / N));
        }
    ck_assert_double_eq_tol(trace, 0, 4 * sqrt(1.0 / N));
    /* E t^4 = 3, so t^2 has variance 2 */
    ck_assert_double_eq_tol(trace_square, 1, 4 * sqrt(2.0 / N));
    free(q);
}
END_TEST

/* --- what does not change a number ------------------------------------------------------------ */

START_TEST(test_weights_do_not_depend_on_the_team)
{
    run_spec spec = spec_of(init_table[_i]->entry.name, 2);
    net *n = net_filled(&spec);
    real *other = malloc(n->count * sizeof *other);
    ck_assert_ptr_nonnull(other);
    for (int threads = 2; threads <= 5; threads += 3) {
        memset(other, 0xff, n->count * sizeof *other);
        fill(other, n, threads);
        ck_assert_int_eq(memcmp(other, n->weights, n->count * sizeof *other), 0);
    }
    free(other);
    net_free(n);
}
END_TEST

/* Nor on what else the network has: none of these laws has the depth in it. */
START_TEST(test_weights_do_not_depend_on_the_other_parameters)
{
    static const char *const schemes[] = {"normal", "bert", "xavier_uniform", "orthogonal"};
    run_spec specs[] = {spec_of(schemes[_i], 2), spec_of(schemes[_i], 3)};
    net *a = net_filled(&specs[0]), *b = net_filled(&specs[1]);
    static const char *const names[] = {"embed.weight", "pos.weight", "blocks.1.attn.o.weight",
                                        "blocks.1.mlp.down.weight"};
    for (size_t i = 0; i < sizeof names / sizeof *names; i++) {
        const param *p = param_of(a, names[i]), *q = param_of(b, names[i]);
        if (p->layer) ck_assert_uint_ne(p->data, q->data);
        ck_assert_int_eq(
            memcmp(a->weights + p->data, b->weights + q->data, p->count * sizeof(real)), 0);
    }
    net_free(a);
    net_free(b);
}
END_TEST

static double correlation(const real *a, const real *b, size_t n)
{
    double ab = 0, aa = 0, bb = 0;
    for (size_t i = 0; i < n; i++) {
        ab += (double)a[i] * (double)b[i];
        aa += (double)a[i] * (double)a[i];
        bb += (double)b[i] * (double)b[i];
    }
    return ab / sqrt(aa * bb);
}

/* Four standard errors of the correlation of independent samples, 1/sqrt(n). */
START_TEST(test_names_and_seeds_give_other_numbers)
{
    static const char *const schemes[] = {"normal", "bert", "xavier_uniform", "orthogonal"};
    run_spec specs[] = {spec_of(schemes[_i], 2), spec_of(schemes[_i], 2)};
    specs[1].seed = 8;
    net *a = net_filled(&specs[0]), *b = net_filled(&specs[1]);
    const size_t n = (size_t)D * F;
    const double allowed = 4 / sqrt((double)n);
    const real *up = weights_of(a, "blocks.0.mlp.up.weight");
    ck_assert_double_lt(fabs(correlation(up, weights_of(a, "blocks.0.mlp.gate.weight"), n)),
                        allowed);
    ck_assert_double_lt(fabs(correlation(up, weights_of(a, "blocks.1.mlp.up.weight"), n)), allowed);
    ck_assert_double_lt(fabs(correlation(up, weights_of(b, "blocks.0.mlp.up.weight"), n)), allowed);
    net_free(a);
    net_free(b);
}
END_TEST

/* --- the fields of the job -------------------------------------------------------------------- */

static init_rule rule(const net *n, const run_spec *spec, const char *name)
{
    return init_rule_of(spec, param_of(n, name));
}

static bool same(init_rule a, init_rule b)
{
    return a.law == b.law && a.scale == b.scale && a.cut == b.cut;
}

START_TEST(test_gain_is_on_the_blocks_only)
{
    run_spec one = spec_of(init_table[_i]->entry.name, 2), two = one;
    two.init.gain = 2;
    net *a = net_filled(&one), *b = net_filled(&two);
    for (int i = 0; i < a->s.g.n_params; i++) {
        const param *p = &a->s.g.params[i];
        real factor = p->kind == PARAM_INNER || p->kind == PARAM_OUTER ? 2 : 1;
        size_t others = 0;
        for (size_t k = 0; k < p->count; k++)
            others += factor * a->weights[p->data + k] != b->weights[p->data + k];
        ck_assert_uint_eq(others, 0);
    }
    net_free(a);
    net_free(b);
}
END_TEST

START_TEST(test_given_deviations_win)
{
    const char *scheme = init_table[_i]->entry.name;
    run_spec spec = spec_of(scheme, 2);
    net *n = net_new(&spec);
    init_rule embed = rule(n, &spec, "embed.weight"), head = rule(n, &spec, "lm_head.weight");
    run_spec given = spec;
    given.init.embed_std = 0.5;
    given.init.head_std = 0;
    init_rule r = rule(n, &given, "embed.weight");
    ck_assert_int_eq(r.law, embed.law);
    ck_assert_double_eq_tol(r.scale, r.law == INIT_UNIFORM ? sqrt(3) / 2 : 0.5, 1e-15);
    ck_assert_double_eq_tol(rule(n, &given, "pos.weight").scale,
                            rule(n, &given, "pos.weight").law == INIT_UNIFORM ? sqrt(3) / 2 : 0.5,
                            1e-15);
    ck_assert(rule(n, &given, "lm_head.weight").scale == 0 && head.scale > 0);
    given.init.position_std = 0.01;
    ck_assert_double_eq_tol(
        rule(n, &given, "pos.weight").scale,
        rule(n, &given, "pos.weight").law == INIT_UNIFORM ? sqrt(3) * 0.01 : 0.01, 1e-15);
    ck_assert(same(rule(n, &given, "embed.weight"), r));
    const char *inner = "blocks.0.attn.q.weight";
    ck_assert(same(rule(n, &given, inner), rule(n, &spec, inner)));
    net_free(n);
}
END_TEST

START_TEST(test_depth_scale_divides_what_writes_to_the_stream)
{
    run_spec on = spec_of(init_table[_i]->entry.name, 2), off = on;
    on.init.depth_scale = true;
    off.init.depth_scale = false;
    net *n = net_new(&on);
    for (int i = 0; i < n->s.g.n_params; i++) {
        const param *p = &n->s.g.params[i];
        if (p->rank == 1) continue;
        double factor = p->kind == PARAM_OUTER ? 2 : 1; /* sqrt(2 L) */
        ck_assert_double_eq_tol(init_rule_of(&off, p).scale / init_rule_of(&on, p).scale, factor,
                                1e-15);
    }
    net_free(n);
}
END_TEST

/* What a placement makes of a rule is applied last, and not without strategy.init_factor. */
START_TEST(test_init_factor_lets_the_placement_have_its_way)
{
    run_spec with = spec_of("xavier", 2);
    with.strategy.placement = _i;
    with.model.n_kv_heads = H; /* queries and keys may share their factors */
    const placement *at = placement_table[_i];
    run_spec without = with;
    without.strategy.init_factor = false;
    ck_assert_int_eq(at->init != NULL, (at->uses & USES(INIT_FACTOR)) != 0);
    net *n = net_new(&with);
    int changed = 0;
    for (int i = 0; i < n->s.g.n_params; i++) {
        const param *p = &n->s.g.params[i];
        if (p->rank == 1) continue;
        init_rule plain = init_rule_of(&without, p), r = init_rule_of(&with, p);
        ck_assert(same(plain, init_table[with.init.scheme]->rule(&with, p)));
        ck_assert(same(r, at->init ? at->init(&with, p, plain) : plain));
        changed += !same(r, plain);
    }
    ck_assert_int_eq(changed > 0, at->init != NULL);
    net_free(n);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("init");
    TCase *t = tcase_create("laws");
    int schemes = init_registry.n;
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, test_every_scheme_follows_its_formula, 0, 2 * schemes);
    tcase_add_test(t, test_vectors_start_at_their_start);
    tcase_add_loop_test(t, test_normal_weights_are_the_stream_times_the_std, 0, 4);
    tcase_add_test(t, test_a_truncated_law_is_the_normal_one_within_its_cut);
    suite_add_tcase(s, t);
    t = tcase_create("orthogonal");
    tcase_set_timeout(t, 120);
    tcase_add_test(t, test_orthogonal_matrices_are_orthogonal);
    tcase_add_test(t, test_a_column_does_not_depend_on_the_panel);
    tcase_add_test(t, test_small_orthogonal_matrices_are_uniform);
    suite_add_tcase(s, t);
    t = tcase_create("independence");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, test_weights_do_not_depend_on_the_team, 0, schemes);
    tcase_add_loop_test(t, test_weights_do_not_depend_on_the_other_parameters, 0, 4);
    tcase_add_loop_test(t, test_names_and_seeds_give_other_numbers, 0, 4);
    suite_add_tcase(s, t);
    t = tcase_create("fields");
    tcase_set_timeout(t, 120);
    tcase_add_loop_test(t, test_gain_is_on_the_blocks_only, 0, schemes);
    tcase_add_loop_test(t, test_given_deviations_win, 0, schemes);
    tcase_add_loop_test(t, test_depth_scale_divides_what_writes_to_the_stream, 0, schemes);
    tcase_add_loop_test(t, test_init_factor_lets_the_placement_have_its_way, 0,
                        placement_registry.n);
    suite_add_tcase(s, t);
    return suite_run(s);
}

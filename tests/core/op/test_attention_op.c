/* Attention against the plain definition in double, entry by entry: every form of it on sequences
 * that end within, at and beyond a block of rows; gradients of the probabilities and logits too. */
#include "core/position/position.h"
#include "tests/core/rig.h"
#include "tests/suite.h"

#include <math.h>

enum { HEADS = 4, WIDTH = 3, LENGTHS = 6 };

static const double constant_scale = 0.7;
static const int lengths[LENGTHS] = {1, 2, 63, 64, 65, 150};

#if REAL_BITS == 64
static const double tolerance = 1e-12;
#else
static const double tolerance = 5e-5;
#endif

typedef struct form {
    const char *name;
    int kv_heads;
    bool causal;
    int window;
    double softcap; /* 0: none */
    bool learned, biased, by_distance;
} form;

static const form forms[] = {
    {.name = "causal", .kv_heads = 4, .causal = true},
    {.name = "full", .kv_heads = 4},
    {.name = "grouped", .kv_heads = 2, .causal = true},
    {.name = "one key-value head", .kv_heads = 1},
    {.name = "window of 1", .kv_heads = 2, .causal = true, .window = 1},
    {.name = "window of 5", .kv_heads = 4, .causal = true, .window = 5},
    {.name = "window of 64", .kv_heads = 2, .causal = true, .window = 64},
    {.name = "window of 65", .kv_heads = 2, .causal = true, .window = 65},
    {.name = "window of 1000", .kv_heads = 2, .causal = true, .window = 1000},
    {.name = "window of 1 both ways", .kv_heads = 2, .window = 1},
    {.name = "window of 5 both ways", .kv_heads = 4, .window = 5},
    {.name = "window of 70 both ways", .kv_heads = 2, .window = 70},
    {.name = "capped", .kv_heads = 2, .causal = true, .softcap = 1.5},
    {.name = "biased", .kv_heads = 4, .causal = true, .biased = true},
    {.name = "biased both ways", .kv_heads = 2, .biased = true},
    {.name = "learned", .kv_heads = 2, .causal = true, .learned = true},
    {.name = "by distance", .kv_heads = 4, .causal = true, .by_distance = true},
    {.name = "by distance both ways", .kv_heads = 2, .by_distance = true},
    {"all at once", 2, true, 40, 2, true, true, true},
    {"all both ways", 2, false, 40, 2, true, true, true},
};

enum { FORMS = sizeof forms / sizeof *forms };

static double bump(size_t i)
{
    return (double)(real)(0.3 * (double)(i % 7) - 1);
}

static void bumps(const graph *g, const node *n, real *out, double *work)
{
    (void)g, (void)work;
    for (size_t i = 0; i < n->constant_count; i++) out[i] = (real)bump(i);
}

/* --- the plain definition, one sequence --- */

enum { BUCKETS = 32 };

/* First distances of T5's buckets: half are one distance each, then 8 16^(k/8), and 16 8^(k/16). */
static const size_t both_ways[] = {0, 1, 2, 3, 4, 5, 6, 7, 8, 12, 16, 23, 32, 46, 64, 91};
static const size_t backward_only[] = {0,  1,  2,  3,  4,  5,  6,  7,  8,  9,  10,
                                       11, 12, 13, 14, 15, 16, 19, 21, 24, 27, 31,
                                       35, 40, 46, 52, 59, 67, 77, 87, 99, 113};

static size_t bucket(bool causal, size_t i, size_t j)
{
    const size_t *first = causal ? backward_only : both_ways;
    size_t n = causal ? BUCKETS : BUCKETS / 2, apart = i > j ? i - j : j - i, at = n - 1;
    while (first[at] > apart) at--;
    return at + (!causal && j > i ? n : 0);
}

typedef struct plain {
    const form *f;
    size_t n, cols; /* T, columns of the input: queries, keys, values */
    const real *x, *dy;
    double *y, *probs, *logits, *entropy, *dx, *dprobs, *dlogits, *dtau, *dtable;
    double tau[HEADS];
} plain;

static bool sees(const plain *p, size_t i, size_t j)
{
    size_t apart = i > j ? i - j : j - i, window = (size_t)p->f->window;
    return (!p->f->causal || j <= i) && (window == 0 || apart < window);
}

static double bias_at(const plain *p, size_t h, size_t i, size_t j)
{
    double b = p->f->biased ? bump(i * p->n + j) : 0;
    return p->f->by_distance ? b + bump(bucket(p->f->causal, i, j) * HEADS + h + 1) : b;
}

static double product(const plain *p, size_t i, size_t from_i, size_t j, size_t from_j)
{
    double sum = 0;
    for (size_t c = 0; c < WIDTH; c++)
        sum += (double)p->x[i * p->cols + from_i + c] * (double)p->x[j * p->cols + from_j + c];
    return sum;
}

static void plain_row(plain *p, size_t h, size_t i)
{
    size_t n = p->n, kv = h / (HEADS / (size_t)p->f->kv_heads), q = h * WIDTH,
           k = (HEADS + kv) * WIDTH, v = k + (size_t)p->f->kv_heads * WIDTH, row = (h * n + i) * n;
    double scale = constant_scale * exp(fmin(p->tau[h], log(100))), cap = p->f->softcap, sum = 0,
           most = -INFINITY;
    for (size_t j = 0; j < n; j++) {
        double z = scale * product(p, i, q, j, k);
        double s = (cap == 0 ? z : cap * tanh(z / cap)) + bias_at(p, h, i, j);
        p->logits[row + j] = sees(p, i, j) ? s : 0;
        if (sees(p, i, j)) most = fmax(most, s);
    }
    for (size_t j = 0; j < n; j++)
        sum += p->probs[row + j] = sees(p, i, j) ? exp(p->logits[row + j] - most) : 0;
    double along = 0, entropy = 0;
    for (size_t j = 0; j < n; j++) {
        double a = p->probs[row + j] /= sum, da = 0;
        if (a > 0) entropy -= a * log(a);
        for (size_t c = 0; c < WIDTH; c++) {
            double dy = (double)p->dy[i * HEADS * WIDTH + q + c];
            p->y[i * HEADS * WIDTH + q + c] += a * (double)p->x[j * p->cols + v + c];
            p->dx[j * p->cols + v + c] += a * dy;
            da += dy * (double)p->x[j * p->cols + v + c];
        }
        p->dprobs[row + j] = sees(p, i, j) ? da : 0;
        along += a * da;
    }
    p->entropy[h * n + i] = entropy;
    for (size_t j = 0; j < n; j++) {
        double ds = p->probs[row + j] * (p->dprobs[row + j] - along);
        double z = scale * product(p, i, q, j, k), t = cap == 0 ? 0 : tanh(z / cap);
        double dz = ds * (1 - t * t);
        p->dlogits[row + j] = ds;
        if (sees(p, i, j)) p->dtable[bucket(p->f->causal, i, j) * HEADS + h] += ds;
        if (p->tau[h] < log(100)) p->dtau[h] += dz * z;
        for (size_t c = 0; c < WIDTH; c++) {
            p->dx[i * p->cols + q + c] += scale * dz * (double)p->x[j * p->cols + k + c];
            p->dx[j * p->cols + k + c] += scale * dz * (double)p->x[i * p->cols + q + c];
        }
    }
}

static void plain_start(plain *p)
{
    size_t square = HEADS * p->n * p->n;
    double **all[] = {&p->y, &p->probs, &p->logits, &p->entropy, &p->dx, &p->dprobs, &p->dlogits};
    size_t sizes[] = {p->n * HEADS * WIDTH, square, square, HEADS * p->n,
                      p->n * p->cols,       square, square};
    for (size_t i = 0; i < sizeof sizes / sizeof *sizes; i++) {
        *all[i] = calloc(sizes[i], sizeof **all[i]);
        ck_assert_ptr_nonnull(*all[i]);
    }
    for (size_t h = 0; h < HEADS; h++)
        for (size_t i = 0; i < p->n; i++) plain_row(p, h, i);
}

static void plain_stop(plain *p)
{
    double *all[] = {p->y, p->probs, p->logits, p->entropy, p->dx, p->dprobs, p->dlogits};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) free(all[i]);
}

/* --- the op --- */

static const form *current; /* set before rig_start_as */

static int columns(const form *f)
{
    return (HEADS + 2 * f->kv_heads) * WIDTH;
}

static int build(graph *g, int x)
{
    const form *f = current;
    int q = HEADS * WIDTH, kv = f->kv_heads * WIDTH;
    attention_args how = {.heads = HEADS,
                          .kv_heads = f->kv_heads,
                          .causal = f->causal,
                          .window = f->window,
                          .scale = constant_scale,
                          .tau = NONE,
                          .softcap = f->softcap == 0 ? (double)NAN : f->softcap,
                          .bias = f->biased ? bumps : NULL,
                          .by_distance = NONE,
                          .position = &position_relative_bias};
    if (f->learned) how.tau = graph_vector(g, PARAM_LEARNED, "tau", HEADS, 0);
    if (f->by_distance)
        how.by_distance = graph_param(g, PARAM_DISTANCE, "distance_bias.weight", BUCKETS, HEADS);
    int y = op_attention_build(g, graph_view(g, x, 0, q), graph_view(g, x, q, kv),
                               graph_view(g, x, q + kv, kv), &how);
    /* As where they are measured. */
    for (int i = 1; i <= 3; i++) g->values[y + i].measured = true;
    for (int i = 1; i <= 2; i++) g->values[y + i].needs_grad = true;
    return y;
}

static void start(rig *r, const form *f, int length, int threads)
{
    current = f;
    rig_shape shape = {.length = length,
                       .width = columns(f),
                       .threads = threads,
                       .memory = (size_t)1 << 26,
                       .keep_all = true};
    rig_start_as(r, &shape, NULL, build);
    real *table = r->x.params + (f->learned ? HEADS : 0);
    for (size_t i = 0; i < BUCKETS * HEADS && f->by_distance; i++) table[i] = (real)bump(i + 1);
}

static void run(rig *r)
{
    (void)rig_loss(r);
    ck_assert_int_eq(exec_backward(&r->x, NULL, NULL), ERR_OK);
}

/* First output of the attention, which is the node after the input. */
static int first_output(const rig *r)
{
    return r->g.nodes[1].outputs[0];
}

static void
compare(const char *form_name, const char *what, const real *got, const double *want, size_t n)
{
    double largest = 1e-3;
    for (size_t i = 0; i < n; i++) largest = fmax(largest, fabs(want[i]));
    for (size_t i = 0; i < n; i++)
        ck_assert_msg(fabs((double)got[i] - want[i]) <= tolerance * largest,
                      "%s: %s[%zu] of %zu: %.12g, by definition %.12g", form_name, what, i, n,
                      (double)got[i], want[i]);
}

START_TEST(test_every_form_is_its_definition)
{
    const form *f = &forms[_i / LENGTHS];
    int length = lengths[_i % LENGTHS], cols = columns(f);
    rig r;
    start(&r, f, length, 1);
    size_t n = (size_t)length, out = HEADS * WIDTH, square = HEADS * n * n;
    double dtau[HEADS] = {0}, dtable[BUCKETS * HEADS] = {0};
    if (f->learned) r.x.params[1] = 5; /* beyond ln 100 */
    run(&r);
    for (int b = 0; b < B; b++) {
        plain p = {.f = f,
                   .n = n,
                   .cols = (size_t)cols,
                   .x = r.inputs + (size_t)b * n * (size_t)cols,
                   .dy = r.seed + (size_t)b * n * out,
                   .dtau = dtau,
                   .dtable = dtable};
        for (int h = 0; h < HEADS && f->learned; h++) p.tau[h] = (double)r.x.params[h];
        plain_start(&p);
        int v = first_output(&r);
        r.x.side = 0;
        compare(f->name, "y", exec_value(&r.x, v, b), p.y, n * out);
        compare(f->name, "probability", exec_value(&r.x, v + 1, b), p.probs, square);
        compare(f->name, "logit", exec_value(&r.x, v + 2, b), p.logits, square);
        compare(f->name, "entropy", exec_value(&r.x, v + 3, b), p.entropy, HEADS * n);
        r.x.side = 1;
        compare(f->name, "dx", exec_grad(&r.x, r.input, b), p.dx, n * (size_t)cols);
        compare(f->name, "dprobability", exec_grad(&r.x, v + 1, b), p.dprobs, square);
        compare(f->name, "dlogit", exec_grad(&r.x, v + 2, b), p.dlogits, square);
        plain_stop(&p);
    }
    if (f->learned) {
        compare(f->name, "dtau", exec_param_grad(&r.x, r.g.nodes[1].params[0]), dtau, HEADS);
        ck_assert(exec_param_grad(&r.x, r.g.nodes[1].params[0])[1] == 0);
    }
    if (f->by_distance) {
        const node *a = &r.g.nodes[1];
        compare(f->name, "dtable", exec_param_grad(&r.x, a->params[a->n_params - 1]), dtable,
                BUCKETS * HEADS);
    }
    rig_stop(&r);
}
END_TEST

START_TEST(test_bits_do_not_depend_on_threads)
{
    rig one, three;
    start(&one, &forms[_i], 150, 1);
    start(&three, &forms[_i], 150, 3);
    run(&one);
    run(&three);
    ck_assert_uint_eq(one.p.tensor_bytes, three.p.tensor_bytes);
    ck_assert_mem_eq(one.x.tensors, three.x.tensors, one.p.tensor_bytes);
    rig_stop(&three);
    rig_stop(&one);
}
END_TEST

/* A key that is not a number concerns the queries that see it, and no other. */
START_TEST(test_nan_in_a_key_reaches_who_sees_it)
{
    enum { LENGTH = 150, AT = 70, SEQUENCE = 1 };
    const form *f = &forms[_i];
    rig r;
    start(&r, f, LENGTH, 1);
    size_t cols = (size_t)columns(f), key = HEADS * WIDTH;
    r.inputs[(SEQUENCE * LENGTH + AT) * cols + key] = (real)NAN;
    run(&r);
    plain p = {.f = f};
    r.x.side = 0;
    for (int b = 0; b < B; b++) {
        const real *y = exec_value(&r.x, first_output(&r), b);
        for (size_t i = 0; i < LENGTH; i++)
            for (size_t h = 0; h < HEADS; h++) {
                bool reads = h / (HEADS / (size_t)f->kv_heads) == 0;
                bool bad = b == SEQUENCE && reads && sees(&p, i, AT);
                ck_assert_msg(isnan(y[(i * HEADS + h) * WIDTH]) == bad,
                              "%s: sequence %d row %zu head %zu: %g", f->name, b, i, h,
                              (double)y[(i * HEADS + h) * WIDTH]);
            }
    }
    rig_stop(&r);
}
END_TEST

/* Logits of a network without norms: the largest decides alone, however low it is. */
START_TEST(test_huge_logits_choose_one_key)
{
    enum { LENGTH = 70 };
    const double size = REAL_BITS == 64 ? 1e60 : 3e17;
    const form *f = &forms[_i];
    if (f->softcap != 0) return;
    rig r;
    start(&r, f, LENGTH, 1);
    size_t cols = (size_t)columns(f), key = HEADS * WIDTH, n_keys = (size_t)f->kv_heads * WIDTH;
    for (size_t t = 0; t < B * LENGTH; t++)
        for (size_t c = 0; c < key + n_keys; c++)
            r.inputs[t * cols + c] = (real)(c < key     ? -size
                                            : c % WIDTH ? 0
                                                        : size * (1 + (double)(t % LENGTH)));
    run(&r);
    plain p = {.f = f};
    r.x.side = 0;
    const real *probs = exec_value(&r.x, first_output(&r) + 1, 2);
    for (size_t i = 0; i < HEADS * LENGTH; i++) {
        size_t first = 0; /* the smallest key has the highest of these negative logits */
        while (!sees(&p, i % LENGTH, first)) first++;
        for (size_t j = 0; j < LENGTH; j++)
            ck_assert_msg(probs[i * LENGTH + j] == (real)(j == first), "%s: row %zu key %zu: %g",
                          f->name, i, j, (double)probs[i * LENGTH + j]);
    }
    rig_stop(&r);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("attention op");
    TCase *t = tcase_create("forms");
    tcase_set_timeout(t, 60);
    tcase_add_loop_test(t, test_every_form_is_its_definition, 0, FORMS * LENGTHS);
    tcase_add_loop_test(t, test_bits_do_not_depend_on_threads, 0, FORMS);
    tcase_add_loop_test(t, test_nan_in_a_key_reaches_who_sees_it, 0, FORMS);
    tcase_add_loop_test(t, test_huge_logits_choose_one_key, 0, FORMS);
    suite_add_tcase(s, t);
    return suite_run(s);
}

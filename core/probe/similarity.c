#include "core/probe/similarity.h"

#include "core/metric/similarity.h"
#include "core/probe/gauge.h"

#include <string.h>

enum { SIMILARITY_LAYERS = 64 };

typedef struct state {
    const graph *g;
    bool angles, grams, map; /* wanted: map also for cka_last */
    int depth, n_chosen;
    size_t n, cols, pairs; /* tokens, features, entries of a matrix */
    real *tokens;          /* [L + 1, B, D] */
    double *matrices;      /* [chosen and 2 more, B, pairs] */
    double *own, *before;  /* [L + 1, B] products of a layer with itself and the one before */
    double *with;          /* [chosen, chosen, B] products, the later layer first */
    double *work;          /* of each worker */
    size_t work_numbers;
} state;

static bool is_state(const tap *t)
{
    return site_role_of(t->site) == ROLE_state;
}

/* A tap on the stream that leaves a block and is reported; or NULL: layers are not compared. */
static const tap *reported(const graph *g)
{
    for (int i = 0; i < g->n_taps; i++)
        if (is_state(&g->taps[i]) && !g->taps[i].hidden && g->taps[i].layer > 0) return &g->taps[i];
    return NULL;
}

static state planned(const graph *g)
{
    const spec_measure *m = &g->spec->measure;
    state s = {.g = g, .depth = g->spec->depth}, *p = &s;
    if (!reported(g)) return s;
    p->angles = m->metrics[METRIC_angular_distance] || m->metrics[METRIC_angular_distance_last];
    p->map = m->metrics[METRIC_cka_last] || m->metrics[METRIC_cka_map];
    p->grams = p->map || m->metrics[METRIC_cka_prev];
    p->n_chosen = p->depth + 1 < SIMILARITY_LAYERS ? p->depth + 1 : SIMILARITY_LAYERS;
    p->n = (size_t)(g->seq_len < SIMILARITY_TOKENS ? g->seq_len : SIMILARITY_TOKENS);
    p->pairs = similarity_pairs(p->n);
    if (p->n < SIMILARITY_LEAST) p->grams = p->map = false;
    return s;
}

static void carve(state *p, int n_threads, arena *a)
{
    size_t batch = (size_t)p->g->batch, layers = (size_t)p->depth + 1;
    size_t chosen = p->map ? (size_t)p->n_chosen : 0;
    for (int i = 0; i < p->g->n_taps && !p->cols; i++)
        if (is_state(&p->g->taps[i])) p->cols = (size_t)p->g->values[p->g->taps[i].value].cols;
    if (p->angles) p->tokens = arena_alloc(a, layers * batch * p->cols * sizeof *p->tokens);
    if (!p->grams) return;
    p->matrices = arena_alloc(a, (chosen + 2) * batch * p->pairs * sizeof *p->matrices);
    p->own = arena_alloc(a, layers * batch * sizeof *p->own);
    p->before = arena_alloc(a, layers * batch * sizeof *p->before);
    p->with = arena_alloc(a, chosen * chosen * batch * sizeof *p->with);
    p->work_numbers = similarity_work(p->n, p->cols);
    p->work_numbers = (p->work_numbers + 7) / 8 * 8;
    p->work = arena_alloc(a, (size_t)n_threads * p->work_numbers * sizeof *p->work);
}

static void *layout(const graph *g, int n_threads, arena *a)
{
    state s = planned(g);
    carve(&s, n_threads, a);
    state *out = arena_alloc(a, sizeof *out);
    if (out) *out = s;
    return out;
}

/* The i-th layer that is chosen. */
static int layer_of(const state *p, int i)
{
    return (int)((long long)i * p->depth / (p->n_chosen - 1));
}

/* Which of the chosen layers this is, or NONE. */
static int chosen(const state *p, int layer)
{
    int at = (int)(((long long)layer * (p->n_chosen - 1) + p->depth - 1) / p->depth);
    return p->map && layer_of(p, at) == layer ? at : NONE;
}

/* Layers that are not chosen take turns in two places. */
static double *matrix_of(const state *p, int layer, int b)
{
    int at = chosen(p, layer), first = p->map ? p->n_chosen : 0;
    size_t place = (size_t)(at == NONE ? first + layer % 2 : at);
    return p->matrices + (place * (size_t)p->g->batch + (size_t)b) * p->pairs;
}

static double *with_of(const state *p, int i, int j)
{
    return p->with + ((size_t)i * (size_t)p->n_chosen + (size_t)j) * (size_t)p->g->batch;
}

static real *token_of(const state *p, int layer, int b)
{
    return p->tokens + ((size_t)layer * (size_t)p->g->batch + (size_t)b) * p->cols;
}

static void compare(state *p, int layer, int b)
{
    size_t at = (size_t)layer * (size_t)p->g->batch + (size_t)b;
    const double *K = matrix_of(p, layer, b);
    int i = chosen(p, layer);
    p->own[at] = similarity_product(K, K, p->n);
    if (layer > 0) p->before[at] = similarity_product(K, matrix_of(p, layer - 1, b), p->n);
    for (int j = 0; j < i; j++)
        with_of(p, i, j)[b] = similarity_product(K, matrix_of(p, layer_of(p, j), b), p->n);
}

static unsigned reads(const graph *g, const tap *t)
{
    (void)g;
    return is_state(t) ? GAUGE_VALUE : 0;
}

static void value_made(void *own, const look *l)
{
    state *p = own;
    const tap *t = l->t;
    if (p->angles)
        memcpy(token_of(p, t->layer, l->b), l->data + (size_t)(l->v->rows - 1) * (size_t)l->v->ld,
               p->cols * sizeof *l->data);
    if (!p->grams) return;
    similarity_gram(matrix_of(p, t->layer, l->b), l->data, (size_t)l->v->rows, p->cols,
                    (size_t)l->v->ld, p->n, p->work + p->work_numbers * (size_t)l->worker);
    compare(p, t->layer, l->b);
}

static bool applies(const graph *g, const tap *t, metric m, bool with_grads)
{
    (void)with_grads;
    if (!is_state(t) || !reported(g)) return false;
    if (m == METRIC_angular_distance || m == METRIC_cka_prev) return t->layer > 0;
    if (m == METRIC_angular_distance_last) return t->layer < g->spec->depth;
    if (m != METRIC_cka_last || t->layer >= g->spec->depth) return false;
    const state p = planned(g);
    return p.n < SIMILARITY_LEAST || chosen(&p, t->layer) != NONE;
}

static metric_value angle(const state *p, int layer, int other)
{
    double sum = 0;
    int n = 0;
    for (int b = 0; b < p->g->batch; b++) {
        double one = similarity_angle(token_of(p, layer, b), token_of(p, other, b), p->cols);
        if (one < 0) continue;
        sum += one;
        n++;
    }
    return n ? value_of(sum / n) : value_undefined(REASON_ZERO);
}

static double sum_of(const state *p, const double *of_sequences)
{
    double sum = 0;
    for (int b = 0; b < p->g->batch; b++) sum += of_sequences[b];
    return sum;
}

static metric_value cka(const state *p, const double *both, int layer, int other)
{
    size_t batch = (size_t)p->g->batch;
    double x = sum_of(p, p->own + (size_t)layer * batch),
           y = sum_of(p, p->own + (size_t)other * batch);
    if (x == 0 || y == 0) return value_undefined(REASON_ZERO);
    return value_of(sum_of(p, both) / (sqrt(x) * sqrt(y)));
}

static metric_value pair(const state *p, int i, int j)
{
    if (p->n < SIMILARITY_LEAST) return value_undefined(REASON_FEW_TOKENS);
    return cka(p, with_of(p, i, j), layer_of(p, i), layer_of(p, j));
}

static void finish(void *own, const graph *g, int tap_index, bool with_grads, metric_value out[])
{
    (void)with_grads;
    const state *p = own;
    const int last = p->n_chosen - 1, layer = g->taps[tap_index].layer;
    if (p->angles && layer > 0) out[METRIC_angular_distance] = angle(p, layer, layer - 1);
    if (p->angles) out[METRIC_angular_distance_last] = angle(p, layer, p->depth);
    if (p->n < SIMILARITY_LEAST)
        out[METRIC_cka_prev] = out[METRIC_cka_last] = value_undefined(REASON_FEW_TOKENS);
    if (p->grams && layer > 0)
        out[METRIC_cka_prev] =
            cka(p, p->before + (size_t)layer * (size_t)p->g->batch, layer, layer - 1);
    if (p->map && layer < p->depth && chosen(p, layer) != NONE)
        out[METRIC_cka_last] = pair(p, last, chosen(p, layer));
}

#define ONES(p)                                                                                    \
    "layer." #p "0", "layer." #p "1", "layer." #p "2", "layer." #p "3", "layer." #p "4",           \
        "layer." #p "5", "layer." #p "6", "layer." #p "7", "layer." #p "8", "layer." #p "9",
#define TENS(p)                                                                                    \
    ONES(p##0)                                                                                     \
    ONES(p##1)                                                                                     \
    ONES(p##2)                                                                                     \
    ONES(p##3)                                                                                     \
    ONES(p##4) ONES(p##5) ONES(p##6) ONES(p##7) ONES(p##8) ONES(p##9)
#define HUNDREDS(p)                                                                                \
    TENS(p##0)                                                                                     \
    TENS(p##1)                                                                                     \
    TENS(p##2)                                                                                     \
    TENS(p##3)                                                                                     \
    TENS(p##4) TENS(p##5) TENS(p##6) TENS(p##7) TENS(p##8) TENS(p##9)

static const char names[][12] = {"layer.0",
                                 "layer.1",
                                 "layer.2",
                                 "layer.3",
                                 "layer.4",
                                 "layer.5",
                                 "layer.6",
                                 "layer.7",
                                 "layer.8",
                                 "layer.9",
                                 ONES(1) ONES(2) ONES(3) ONES(4) ONES(5) ONES(6) ONES(7) ONES(8)
                                     ONES(9) TENS(1) TENS(2) TENS(3) TENS(4) TENS(5) TENS(6) TENS(7)
                                         TENS(8) TENS(9) HUNDREDS(1) HUNDREDS(2) HUNDREDS(3)
                                             HUNDREDS(4)};

const char *probe_similarity_name(int layer)
{
    int n = (int)(sizeof names / sizeof *names);
    return names[layer < n ? layer : n - 1];
}

static void run(const void *own, const gauge_run *r, gauge_emit *emit, void *user)
{
    const state *p = own;
    if (!r->g->spec->measure.metrics[METRIC_cka_map] || !reported(r->g)) return;
    for (int i = 1; i < p->n_chosen; i++)
        for (int j = 0; j < i; j++)
            emit(user, layer_of(p, i), reported(r->g)->site, probe_similarity_name(layer_of(p, j)),
                 METRIC_cka_map, pair(p, i, j));
}

static uint64_t rows(const graph *g)
{
    const uint64_t most = (uint64_t)planned(g).n_chosen;
    return g->spec->measure.metrics[METRIC_cka_map] ? most * most / 2 : 0;
}

static double flops(const graph *g, const tap *t)
{
    const value *v = &g->values[t->value];
    const bool *m = g->spec->measure.metrics;
    const bool map = m[METRIC_cka_last] || m[METRIC_cka_map];
    const double length = v->rows;
    if (t->hidden || !is_state(t)) return 0;
    if (!map && !m[METRIC_cka_prev]) return 0;
    const int others = !map ? 1 : t->layer < SIMILARITY_LAYERS ? t->layer : SIMILARITY_LAYERS;
    return length * (length + 1) * v->cols + length * length * (2 + others);
}

const gauge gauge_similarity = {
    .reads = reads,
    .compares_layers = true,
    .layout = layout,
    .value = value_made,
    .finish = finish,
    .applies = applies,
    .first_name_only = true,
    .run = run,
    .rows = rows,
    .flops = flops,
    .weight = 8,
};

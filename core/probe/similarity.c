#include "core/probe/similarity.h"

#include <string.h>

static bool is_state(const tap *t)
{
    return site_role_of(t->site) == ROLE_state;
}

void probe_similarity_init(probe_similarity *p, const graph *g)
{
    const spec_measure *m = &g->spec->measure;
    *p = (probe_similarity){.g = g, .depth = g->spec->depth};
    if (!m->sites[SITE_resid_out]) return;
    p->angles = m->metrics[METRIC_angular_distance] || m->metrics[METRIC_angular_distance_last];
    p->map = m->metrics[METRIC_cka_last] || m->metrics[METRIC_cka_map];
    p->grams = p->map || m->metrics[METRIC_cka_prev];
    p->n_chosen = p->depth + 1 < SIMILARITY_LAYERS ? p->depth + 1 : SIMILARITY_LAYERS;
    p->n = (size_t)(g->seq_len < SIMILARITY_TOKENS ? g->seq_len : SIMILARITY_TOKENS);
    p->pairs = similarity_pairs(p->n);
    if (p->n < SIMILARITY_LEAST) p->grams = p->map = false;
}

void probe_similarity_layout(probe_similarity *p, int n_threads, arena *a)
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

int probe_similarity_layer(const probe_similarity *p, int i)
{
    return (int)((long long)i * p->depth / (p->n_chosen - 1));
}

/* Which of the chosen layers this is, or NONE. */
static int chosen(const probe_similarity *p, int layer)
{
    int at = (int)(((long long)layer * (p->n_chosen - 1) + p->depth - 1) / p->depth);
    return p->map && probe_similarity_layer(p, at) == layer ? at : NONE;
}

/* Layers that are not chosen take turns in two places. */
static double *matrix_of(const probe_similarity *p, int layer, int b)
{
    int at = chosen(p, layer), first = p->map ? p->n_chosen : 0;
    size_t place = (size_t)(at == NONE ? first + layer % 2 : at);
    return p->matrices + (place * (size_t)p->g->batch + (size_t)b) * p->pairs;
}

static double *with_of(const probe_similarity *p, int i, int j)
{
    return p->with + ((size_t)i * (size_t)p->n_chosen + (size_t)j) * (size_t)p->g->batch;
}

static real *token_of(const probe_similarity *p, int layer, int b)
{
    return p->tokens + ((size_t)layer * (size_t)p->g->batch + (size_t)b) * p->cols;
}

static void compare(probe_similarity *p, int layer, int b)
{
    size_t at = (size_t)layer * (size_t)p->g->batch + (size_t)b;
    const double *K = matrix_of(p, layer, b);
    int i = chosen(p, layer);
    p->own[at] = similarity_product(K, K, p->n);
    if (layer > 0) p->before[at] = similarity_product(K, matrix_of(p, layer - 1, b), p->n);
    for (int j = 0; j < i; j++)
        with_of(p, i, j)[b] =
            similarity_product(K, matrix_of(p, probe_similarity_layer(p, j), b), p->n);
}

void probe_similarity_add(probe_similarity *p, const exec *x, const tap *t, int b, int worker)
{
    if (!is_state(t) || (!p->angles && !p->grams)) return;
    const value *v = &p->g->values[t->value];
    const real *at = exec_value(x, t->value, b);
    if (p->angles)
        memcpy(token_of(p, t->layer, b), at + (size_t)(v->rows - 1) * (size_t)v->ld,
               p->cols * sizeof *at);
    if (!p->grams) return;
    similarity_gram(matrix_of(p, t->layer, b), at, (size_t)v->rows, p->cols, (size_t)v->ld, p->n,
                    p->work + p->work_numbers * (size_t)worker);
    compare(p, t->layer, b);
}

bool probe_similarity_has(const probe_similarity *p, const tap *t, int m)
{
    bool chosen_one = p->n < SIMILARITY_LEAST || (p->map && chosen(p, t->layer) != NONE);
    if (t->hidden || !is_state(t) || !p->g->spec->measure.sites[SITE_resid_out]) return false;
    if (m == METRIC_angular_distance || m == METRIC_cka_prev) return t->layer > 0;
    if (m == METRIC_angular_distance_last) return t->layer < p->depth;
    return m == METRIC_cka_last && t->layer < p->depth && chosen_one;
}

static metric_value angle(const probe_similarity *p, int layer, int other)
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

static double sum_of(const probe_similarity *p, const double *of_sequences)
{
    double sum = 0;
    for (int b = 0; b < p->g->batch; b++) sum += of_sequences[b];
    return sum;
}

static metric_value cka(const probe_similarity *p, const double *both, int layer, int other)
{
    size_t batch = (size_t)p->g->batch;
    double x = sum_of(p, p->own + (size_t)layer * batch),
           y = sum_of(p, p->own + (size_t)other * batch);
    if (x == 0 || y == 0) return value_undefined(REASON_ZERO);
    return value_of(sum_of(p, both) / (sqrt(x) * sqrt(y)));
}

metric_value probe_similarity_pair(const probe_similarity *p, int i, int j)
{
    if (p->n < SIMILARITY_LEAST) return value_undefined(REASON_FEW_TOKENS);
    return cka(p, with_of(p, i, j), probe_similarity_layer(p, i), probe_similarity_layer(p, j));
}

void probe_similarity_finish(const probe_similarity *p, const tap *t, metric_value out[])
{
    int last = p->n_chosen - 1, layer = t->layer;
    if (t->hidden || !is_state(t)) return;
    if (p->angles && layer > 0) out[METRIC_angular_distance] = angle(p, layer, layer - 1);
    if (p->angles) out[METRIC_angular_distance_last] = angle(p, layer, p->depth);
    if (p->n < SIMILARITY_LEAST)
        out[METRIC_cka_prev] = out[METRIC_cka_last] = value_undefined(REASON_FEW_TOKENS);
    if (p->grams && layer > 0)
        out[METRIC_cka_prev] =
            cka(p, p->before + (size_t)layer * (size_t)p->g->batch, layer, layer - 1);
    if (p->map && layer < p->depth && chosen(p, layer) != NONE)
        out[METRIC_cka_last] = probe_similarity_pair(p, last, chosen(p, layer));
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

#include "core/probe/spectrum.h"

#include "core/metric/gram.h"
#include "core/metric/ranks.h"
#include "core/metric/spectrum.h"
#include "core/probe/gauge.h"

#include <string.h>

/* Matrices of the running segment that share their size and shape: first + i is sequence b of slot
 * s at (first + i) = s B + b. */
struct alike {
    int first, n;
};

typedef struct state {
    const graph *g;
    bool wanted[2];       /* uncentred, centred */
    ranks *ranks;         /* [n_taps, 2, B] */
    int *slots;           /* [n_taps] of its Gram matrices while its segment runs, or NONE */
    int *segment_taps;    /* [n_segments + 1] first tap whose value is made in the segment */
    int *slot_taps;       /* taps of the running segment by slot */
    int n_slots;          /* largest over segments */
    double *grams;        /* [slots, B, n n]: turned when both spectra are wanted */
    double *corners;      /* [slots, B] */
    size_t gram_reals, n; /* of the largest */
    struct alike *groups; /* of its matrices, for one call each */
    double *eigenvalues;
    char *eigen; /* eigen_bytes for each worker */
    size_t eigen_bytes;
    char *work; /* work_bytes for each worker, to form a Gram matrix */
    size_t work_bytes;
} state;

static bool is_centred(metric m)
{
    const char *name = metric_registry.rows[m]->name, end[] = "_centred";
    const size_t n = strlen(name);
    return n >= sizeof end && strcmp(name + n - (sizeof end - 1), end) == 0;
}

static void wanted_kinds(const run_spec *spec, bool kinds[2])
{
    kinds[0] = kinds[1] = false;
    for (int m = 0; m < METRIC_COUNT; m++)
        if (spec->measure.metrics[m] && metric_group_of((metric)m) == GROUP_spectrum)
            kinds[is_centred((metric)m)] = true;
}

static unsigned reads(const graph *g, const tap *t)
{
    (void)g;
    return gauge_is_plain(t) ? GAUGE_SLABS : 0;
}

/* --- layout ----------------------------------------------------------------------------------- */

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static size_t padded(size_t bytes)
{
    return (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

static int segment_of(const graph *g, int tap_index)
{
    return g->nodes[g->values[g->taps[tap_index].value].producer].segment;
}

/* The widest matrix decides the work space; slots are counted per segment. */
static void size_up(state *p)
{
    const graph *g = p->g;
    int segment = NONE, slots = 0;
    for (int i = 0; i < g->n_taps; i++) {
        const value *v = &g->values[g->taps[i].value];
        const size_t rows = (size_t)v->rows, cols = (size_t)v->cols;
        if (!reads(g, &g->taps[i])) continue;
        p->n = max_size(p->n, gram_n(rows, cols));
        p->work_bytes = max_size(p->work_bytes, padded(gram_work_bytes(rows, cols)));
        slots = segment_of(g, i) == segment ? slots + 1 : 1;
        segment = segment_of(g, i);
        if (slots > p->n_slots) p->n_slots = slots;
    }
    p->gram_reals = p->n * p->n;
    p->eigen_bytes = padded(spectrum_scratch_bytes((int)p->n));
}

/* Taps come in the order of the graph, so those of a segment stand together. */
static void number_slots(state *p)
{
    const graph *g = p->g;
    int i = 0;
    for (int segment = 0; segment < g->n_segments; segment++) {
        p->segment_taps[segment] = i;
        for (int slot = 0; i < g->n_taps && segment_of(g, i) == segment; i++)
            p->slots[i] = reads(g, &g->taps[i]) ? slot++ : NONE;
    }
    p->segment_taps[g->n_segments] = i;
}

static void *layout(const graph *g, int n_threads, arena *a)
{
    const size_t taps = (size_t)g->n_taps, batch = (size_t)g->batch, threads = (size_t)n_threads;
    state s = {.g = g};
    wanted_kinds(g->spec, s.wanted);
    size_up(&s);
    const size_t slots = (size_t)s.n_slots, matrices = slots * batch;
    s.ranks = arena_alloc(a, taps * 2 * batch * sizeof *s.ranks);
    s.slots = arena_alloc(a, taps * sizeof *s.slots);
    s.segment_taps = arena_alloc(a, (size_t)(g->n_segments + 1) * sizeof *s.segment_taps);
    s.slot_taps = arena_alloc(a, slots * sizeof *s.slot_taps);
    s.grams = arena_alloc(a, matrices * s.gram_reals * sizeof *s.grams);
    s.corners = arena_alloc(a, matrices * sizeof *s.corners);
    s.groups = arena_alloc(a, matrices * sizeof *s.groups);
    s.eigenvalues = arena_alloc(a, threads * SPECTRUM_LANES * s.n * sizeof *s.eigenvalues);
    s.eigen = arena_alloc(a, threads * s.eigen_bytes);
    s.work = arena_alloc(a, threads * s.work_bytes);
    if (s.slots && s.segment_taps) number_slots(&s);
    state *out = arena_alloc(a, sizeof *out);
    if (out) *out = s;
    return out;
}

/* --- while a pass runs ------------------------------------------------------------------------ */

static double *gram_at(const state *p, int matrix)
{
    return p->grams + (size_t)matrix * p->gram_reals;
}

static ranks *ranks_at(const state *p, int tap_index, int kind)
{
    return p->ranks + ((size_t)tap_index * 2 + (size_t)kind) * (size_t)p->g->batch;
}

static void slab_made(void *own, const look *l, const slab *s, size_t row)
{
    (void)row;
    const state *p = own;
    char *work = p->work + p->work_bytes * (size_t)l->worker;
    const int matrix = p->slots[l->at] * p->g->batch + l->b;
    if (p->wanted[0] && p->wanted[1])
        p->corners[matrix] = gram_turned(gram_at(p, matrix), s, work);
    else
        gram_of(gram_at(p, matrix), s->x, s->rows, s->cols, s->ld,
                p->wanted[1] ? s->col_mean : NULL, work);
}

static const value *slot_value(const state *p, int slot)
{
    return &p->g->values[p->g->taps[p->slot_taps[slot]].value];
}

static void keep_ranks(state *p, int matrix, int kind, const double *eigenvalues)
{
    int slot = matrix / p->g->batch, b = matrix % p->g->batch;
    const value *v = slot_value(p, slot);
    size_t rows = (size_t)v->rows, cols = (size_t)v->cols;
    ranks *r = ranks_at(p, p->slot_taps[slot], kind) + b;
    ranks_reset(r);
    ranks_add(r, eigenvalues, (int)gram_n(rows, cols), rows, cols, REAL_EPSILON);
}

static void spectra_task(void *context, int task, int worker)
{
    state *p = context;
    const struct alike *group = &p->groups[task];
    const value *v = slot_value(p, group->first / p->g->batch);
    const bool both = p->wanted[0] && p->wanted[1], by_token = v->rows <= v->cols;
    const size_t n = gram_n((size_t)v->rows, (size_t)v->cols);
    double *values[SPECTRUM_LANES], **second = values + SPECTRUM_PAIRS,
                                    *at = p->eigenvalues + (size_t)worker * SPECTRUM_LANES * p->n;
    const double *matrices[SPECTRUM_LANES];
    for (int i = 0; i < SPECTRUM_LANES; i++, at += n) values[i] = at;
    for (int i = 0; i < group->n; i++) matrices[i] = gram_at(p, group->first + i);
    void *scratch = p->eigen + p->eigen_bytes * (size_t)worker;
    if (both)
        spectrum_pairs(matrices, by_token ? NULL : p->corners + group->first, group->n, (int)n,
                       values, second, scratch);
    else
        spectrum_lanes(matrices, group->n, (int)n, values, scratch);
    for (int i = 0; i < group->n; i++) {
        const int kind = both ? !by_token : p->wanted[1];
        keep_ranks(p, group->first + i, kind, values[i]);
        if (both) keep_ranks(p, group->first + i, !kind, second[i]);
    }
}

/* Matrices side by side go together while they are alike; returns how many groups. */
static int group_matrices(state *p, int slots)
{
    const int most = p->wanted[0] && p->wanted[1] ? SPECTRUM_PAIRS : SPECTRUM_LANES;
    int groups = 0;
    for (int slot = 0; slot < slots; slot++) {
        const value *v = slot_value(p, slot), *before = slot ? slot_value(p, slot - 1) : NULL;
        bool alike = before && before->rows == v->rows &&
                     (before->cols == v->cols || (v->rows <= v->cols && v->rows <= before->cols));
        for (int b = 0; b < p->g->batch; b++) {
            bool open = b > 0 || alike;
            if (!open || p->groups[groups - 1].n == most)
                p->groups[groups++] = (struct alike){slot * p->g->batch + b, 0};
            p->groups[groups - 1].n++;
        }
    }
    return groups;
}

static void stage_ended(void *own, const exec *x, const stage *st)
{
    state *p = own;
    int slots = 0;
    if (!st->ends_segment) return;
    for (int i = p->segment_taps[st->segment]; i < p->segment_taps[st->segment + 1]; i++)
        if (p->slots[i] != NONE) p->slot_taps[slots++] = i;
    if (slots) team_run(x->team, spectra_task, p, group_matrices(p, slots));
}

/* --- afterwards ------------------------------------------------------------------------------- */

static void finish(void *own, const graph *g, int tap_index, bool with_grads, metric_value out[])
{
    (void)with_grads;
    const state *p = own;
    for (int kind = 0; kind < 2; kind++) {
        ranks *r = ranks_at(p, tap_index, kind);
        if (!p->wanted[kind]) continue;
        for (int b = 1; b < g->batch; b++) ranks_merge(&r[0], &r[b]);
        ranks_finish(&r[0], kind == 1, out);
    }
}

static bool applies(const graph *g, const tap *t, metric m, bool with_grads)
{
    (void)g, (void)m, (void)with_grads;
    return !t->is_matrix;
}

double spectrum_flops(double rows, double cols, int kinds)
{
    const double n = rows < cols ? rows : cols, m = rows < cols ? cols : rows;
    return kinds ? n * (n + 1) * m + 4 * n * n * n / 3 + 40 * n * n * kinds : 0;
}

static double flops(const graph *g, const tap *t)
{
    const value *v = &g->values[t->value];
    bool kinds[2];
    wanted_kinds(g->spec, kinds);
    return gauge_is_plain(t) ? spectrum_flops(v->rows, v->cols, kinds[0] + kinds[1]) : 0;
}

const gauge gauge_spectrum = {
    .reads = reads,
    .layout = layout,
    .slab = slab_made,
    .stage = stage_ended,
    .finish = finish,
    .applies = applies,
    .flops = flops,
    .weight = 4,
};

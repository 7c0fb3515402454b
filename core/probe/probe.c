#include "core/probe/probe.h"

#include "core/metric/gram.h"
#include "core/metric/spectrum.h"

#include <string.h>

static bool is_centred(const char *name)
{
    size_t n = strlen(name), m = strlen("_centred");
    return n > m && strcmp(name + n - m, "_centred") == 0;
}

void probe_init(probe *p, const graph *g)
{
    *p = (probe){.g = g};
    for (int i = 0; i < METRIC_COUNT; i++) {
        if (!g->spec->measure.metrics[i]) continue;
        const metric_group group = metric_group_of((metric)i);
        const char *name = metric_registry.rows[i]->name;
        p->moments |= group == GROUP_moments || group == GROUP_fit;
        p->gradient |= group == GROUP_gradient || group == GROUP_fit;
        p->geometry |= group == GROUP_geometry;
        p->spectrum[is_centred(name)] |= group == GROUP_spectrum;
        p->attention |= group == GROUP_attention;
        p->parameter |= group == GROUP_parameter || i == METRIC_qk_to_v_grad_ratio;
        p->spread |= i == METRIC_param_grad_max || i == METRIC_param_grad_var;
        p->coordinate |= group == GROUP_coordinate;
        p->rows |= i >= METRIC_attn_participation && i <= METRIC_logit_max;
        p->contraction |= group == GROUP_contraction;
        p->path |= i == METRIC_attn_path_contraction;
        p->outlier |= group == GROUP_outlier;
        if (headroom_is_metric(i)) p->format[headroom_is_of_gradients(i)] = true;
        p->moments |= i >= METRIC_bf16_overflow_layer && i <= METRIC_fp8_e5m2_overflow_layer;
        p->gradient |=
            i >= METRIC_grad_fp16_overflow_layer && i <= METRIC_grad_fp8_e5m2_overflow_layer;
    }
    probe_branch_init(&p->branch, g);
    probe_similarity_init(&p->similarity, g);
    probe_cosine_init(&p->cosine, g);
    probe_correlation_init(&p->correlation, g);
}

/* Matrices of the running segment that share their size and shape: first + i is sequence b of slot
 * s at (first + i) = s B + b. */
struct spectra_group {
    int first, n;
};

bool probe_wants_backward(const probe *p)
{
    return p->gradient || p->parameter || p->format[1];
}

static bool has_spectrum(const probe *p, const tap *t)
{
    return (p->spectrum[0] || p->spectrum[1]) && !t->is_matrix && !t->hidden;
}

static size_t max_size(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void layout_tap(probe *p, const tap *t, probe_tap *out, arena *a)
{
    const graph *g = p->g;
    const value *v = &g->values[t->value];
    size_t batch = (size_t)g->batch, rows = (size_t)v->rows;
    probe_tap pt = {.slot = NONE};
    if (p->moments && !(t->hidden && !p->gradient)) {
        pt.moments = arena_alloc(a, batch * sizeof *pt.moments);
        pt.token_sq = arena_alloc(a, batch * rows * sizeof *pt.token_sq);
    }
    if (p->gradient) pt.gradient = arena_alloc(a, batch * sizeof *pt.gradient);
    if (p->geometry && !t->is_matrix && !t->hidden)
        pt.geometry = arena_alloc(a, batch * sizeof *pt.geometry);
    if (has_spectrum(p, t)) pt.ranks = arena_alloc(a, 2 * batch * sizeof *pt.ranks);
    if (t->entropy != NONE && p->attention)
        pt.entropy = arena_alloc(a, batch * rows * sizeof *pt.entropy);
    if (p->coordinate && !t->hidden) probe_coordinate_layout(&pt.coordinate, g, t, a);
    if (p->rows && t->is_matrix) pt.rows = arena_alloc(a, batch * sizeof *pt.rows);
    if (p->contraction && site_role_of(t->site) == ROLE_pairs)
        pt.contraction = arena_alloc(a, batch * sizeof *pt.contraction);
    for (int i = 0; i < 2 && !t->hidden; i++)
        if (p->format[i]) pt.formats[i] = arena_alloc(a, batch * sizeof *pt.formats[i]);
    if (p->outlier && !t->is_matrix && !t->hidden) {
        pt.outliers = arena_alloc(a, batch * sizeof *pt.outliers);
        pt.col_sq = arena_alloc(a, batch * (size_t)v->cols * sizeof *pt.col_sq);
        p->outlier_numbers = max_size(p->outlier_numbers, rows * (size_t)v->cols);
    }
    if (out) *out = pt;
}

/* The widest matrix decides the work space; slots are counted per segment. */
static void layout_spectra(probe *p, int n_threads, arena *a)
{
    const graph *g = p->g;
    size_t n = 0;
    int segment = NONE, slots = 0;
    for (int i = 0; i < g->n_taps; i++) {
        const tap *t = &g->taps[i];
        if (!has_spectrum(p, t)) continue;
        const value *v = &g->values[t->value];
        n = max_size(n, gram_n((size_t)v->rows, (size_t)v->cols));
        p->gram_work_bytes =
            max_size(p->gram_work_bytes, gram_work_bytes((size_t)v->rows, (size_t)v->cols));
        int own = g->nodes[v->producer].segment;
        slots = own == segment ? slots + 1 : 1;
        segment = own;
        if (slots > p->n_slots) p->n_slots = slots;
    }
    size_t matrices = (size_t)p->n_slots * (size_t)g->batch;
    p->gram_n = n;
    p->gram_reals = n * n;
    p->grams = arena_alloc(a, matrices * n * n * sizeof *p->grams);
    p->corners = arena_alloc(a, matrices * sizeof *p->corners);
    p->groups = arena_alloc(a, matrices * sizeof *p->groups);
    p->slot_taps = arena_alloc(a, (size_t)p->n_slots * sizeof *p->slot_taps);
    p->eigenvalues =
        arena_alloc(a, (size_t)n_threads * SPECTRUM_LANES * n * sizeof *p->eigenvalues);
    p->eigen_bytes = (spectrum_scratch_bytes((int)n) + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    p->eigen = arena_alloc(a, (size_t)n_threads * p->eigen_bytes);
}

static void layout_contraction(probe *p, int n_threads, arena *a)
{
    size_t length = (size_t)p->g->seq_len, batch = (size_t)p->g->batch;
    p->path_first = NONE;
    for (int i = p->g->n_taps - 1; i >= 0; i--)
        if (site_role_of(p->g->taps[i].site) == ROLE_pairs) p->path_first = i;
    if (!p->contraction || p->path_first == NONE) return;
    p->contraction_bytes = contraction_work_bytes(length);
    p->contraction_work = arena_alloc(a, (size_t)n_threads * p->contraction_bytes);
    if (p->path) p->paths = arena_alloc(a, batch * length * length * sizeof *p->paths);
}

static int segment_of(const graph *g, int tap_index)
{
    return g->nodes[g->values[g->taps[tap_index].value].producer].segment;
}

/* Taps come in the order of the graph, so those of a segment stand together. */
static void number_slots(probe *p)
{
    const graph *g = p->g;
    int i = 0;
    for (int segment = 0; segment < g->n_segments; segment++) {
        p->segment_taps[segment] = i;
        for (int slot = 0; i < g->n_taps && segment_of(g, i) == segment; i++)
            if (has_spectrum(p, &g->taps[i])) p->taps[i].slot = slot++;
    }
    p->segment_taps[g->n_segments] = i;
}

void probe_layout(probe *p, const graph *g, int n_threads, arena *a)
{
    probe_init(p, g);
    p->taps = arena_alloc(a, (size_t)g->n_taps * sizeof *p->taps);
    size_t widest = 0, rows = 0;
    for (int i = 0; i < g->n_taps; i++) {
        const tap *t = &g->taps[i];
        const value *v = &g->values[t->value];
        size_t one = t->is_matrix ? (size_t)g->seq_len : (size_t)v->rows;
        widest = max_size(widest, slab_bytes(one, (size_t)v->cols));
        rows = max_size(rows, (size_t)v->rows * (size_t)g->batch);
        if ((p->gradient || p->format[1]) && g->spec->rounding.loss_scale != 1)
            p->unscaled_reals = max_size(p->unscaled_reals, (size_t)v->rows * (size_t)v->ld);
        layout_tap(p, t, p->taps ? &p->taps[i] : NULL, a);
    }
    layout_spectra(p, n_threads, a);
    layout_contraction(p, n_threads, a);
    probe_branch_layout(&p->branch, a);
    probe_similarity_layout(&p->similarity, n_threads, a);
    probe_cosine_layout(&p->cosine, n_threads, a);
    probe_correlation_layout(&p->correlation, n_threads, a);
    p->outlier_work = arena_alloc(a, (size_t)n_threads * p->outlier_numbers * sizeof(double));
    p->work_bytes = (widest + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN + p->gram_work_bytes;
    p->work_bytes = (p->work_bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    p->work = arena_alloc(a, (size_t)n_threads * p->work_bytes);
    p->unscaled = arena_alloc(a, (size_t)n_threads * p->unscaled_reals * sizeof(real));
    p->order = arena_alloc(a, rows * sizeof *p->order);
    p->segment_taps = arena_alloc(a, (size_t)(g->n_segments + 1) * sizeof *p->segment_taps);
    if (p->segment_taps) number_slots(p);
}

static char *work_of(const probe *p, int worker)
{
    return p->work + p->work_bytes * (size_t)worker;
}

static double *gram_at(const probe *p, int matrix)
{
    return p->grams + (size_t)matrix * p->gram_reals;
}

/* Rows of one sequence, of which an attention matrix has only what its queries see. */
static void
add_formats(const probe *p, const tap *t, const node *n, const real *x, headroom_counts *counts)
{
    const value *v = &p->g->values[t->value];
    size_t length = (size_t)p->g->seq_len;
    headroom_reset(counts);
    if (!x) return;
    for (size_t r = 0; r < (size_t)v->rows; r++) {
        size_t from = 0, to = (size_t)v->cols;
        if (t->is_matrix) {
            from = op_attention_first(n, r % length);
            to = op_attention_end(n, r % length, length);
        }
        headroom_add(counts, x + r * (size_t)v->ld + from, to - from);
    }
}

/* An attention matrix: one slab per head. */
static void matrix_values(
    probe *p, const tap *t, probe_tap *pt, const exec *x, const node *n, int b, char *work)
{
    size_t length = (size_t)p->g->seq_len, rows = (size_t)p->g->values[t->value].rows;
    const real *m = exec_value(x, t->value, b);
    if (pt->moments) moments_reset(&pt->moments[b]);
    if (pt->rows) attention_rows_reset(&pt->rows[b]);
    for (size_t r = 0; (pt->moments || pt->rows) && r < rows; r += length) {
        slab s;
        slab_sums_window(&s, m + r * length, length, length, op_attention_args(n)->causal,
                         (size_t)op_attention_args(n)->window, work);
        slab_centre(&s);
        if (pt->moments) moments_add(&pt->moments[b], &s, pt->token_sq + (size_t)b * rows + r);
        if (pt->rows) attention_rows_add(&pt->rows[b], &s);
    }
}

static void
matrix_contraction(probe *p, const tap *t, probe_tap *pt, const exec *x, int b, int worker)
{
    size_t length = (size_t)p->g->seq_len, rows = (size_t)p->g->values[t->value].rows;
    double *path = p->paths ? p->paths + (size_t)b * length * length : NULL;
    contraction_add(&pt->contraction[b], exec_value(x, t->value, b), rows / length, length, path,
                    t == &p->g->taps[p->path_first],
                    p->contraction_work + (size_t)worker * p->contraction_bytes);
}

static void grams(probe *p, const probe_tap *pt, const slab *s, int b, char *work)
{
    char *gram_work =
        work + (p->work_bytes - (p->gram_work_bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN);
    int matrix = pt->slot * p->g->batch + b;
    if (p->spectrum[0] && p->spectrum[1])
        p->corners[matrix] = gram_turned(gram_at(p, matrix), s, gram_work);
    else
        gram_of(gram_at(p, matrix), s->x, s->rows, s->cols, s->ld,
                p->spectrum[1] ? s->col_mean : NULL, gram_work);
}

static void
tap_values(probe *p, const tap *t, probe_tap *pt, const exec *x, const node *n, int b, char *work)
{
    const value *v = &p->g->values[t->value];
    if (pt->entropy) {
        size_t count = (size_t)v->rows;
        memcpy(pt->entropy + (size_t)b * count, exec_value(x, t->entropy, b),
               count * sizeof *pt->entropy);
    }
    if (pt->formats[0]) add_formats(p, t, n, exec_value(x, t->value, b), &pt->formats[0][b]);
    if (!pt->moments && !pt->geometry && !pt->rows && pt->slot == NONE) return;
    if (t->is_matrix) {
        matrix_values(p, t, pt, x, n, b, work);
        return;
    }
    slab s;
    slab_sums(&s, exec_value(x, t->value, b), (size_t)v->rows, (size_t)v->cols, (size_t)v->ld,
              false, work);
    slab_centre(&s);
    if (pt->moments) {
        moments_reset(&pt->moments[b]);
        moments_add(&pt->moments[b], &s, pt->token_sq + (size_t)b * (size_t)v->rows);
    }
    if (pt->geometry) {
        geometry_reset(&pt->geometry[b]);
        geometry_add(&pt->geometry[b], &s);
    }
    if (pt->slot != NONE) grams(p, pt, &s, b, work);
}

/* Where massive activations are looked for. */
static void
add_outliers(probe *p, const tap *t, const probe_tap *pt, const exec *x, int b, int worker)
{
    const value *v = &p->g->values[t->value];
    size_t rows = (size_t)v->rows, cols = (size_t)v->cols;
    pt->outliers[b] = (outlier){0};
    outlier_add(&pt->outliers[b], exec_value(x, t->value, b), rows, cols, (size_t)v->ld,
                site_is_stream(t->site), pt->col_sq + (size_t)b * cols,
                p->outlier_work + p->outlier_numbers * (size_t)worker);
}

static void watch_values(void *user, const exec *x, const node *n, const span *s)
{
    probe *p = user;
    for (int i = n->first_tap; i != NONE; i = p->g->taps[i].next)
        for (int b = s->b0; b < s->b1; b++) {
            probe_coordinate *c = &p->taps[i].coordinate;
            tap_values(p, &p->g->taps[i], &p->taps[i], x, n, b, work_of(p, s->worker));
            probe_similarity_add(&p->similarity, x, &p->g->taps[i], b, s->worker);
            if (p->taps[i].outliers) add_outliers(p, &p->g->taps[i], &p->taps[i], x, b, s->worker);
            if (c->sums) probe_coordinate_add(c, x, n, &p->g->taps[i], b);
            if (p->taps[i].contraction)
                matrix_contraction(p, &p->g->taps[i], &p->taps[i], x, b, s->worker);
        }
    probe_branch_values(&p->branch, x, n, s);
}

/* What is measured is the gradient of the loss, without the scale of this pass. */
static const real *
unscaled(const probe *p, const exec *x, const value *v, const real *dx, int worker)
{
    size_t n = (size_t)v->rows * (size_t)v->ld;
    if (!dx || x->grad_scale == 1) return dx;
    real *to = p->unscaled + p->unscaled_reals * (size_t)worker, down = (real)(1 / x->grad_scale);
    for (size_t i = 0; i + (size_t)v->column < n; i++) to[i] = dx[i] * down;
    return to;
}

static void
tap_grads(probe *p, const tap *t, probe_tap *pt, const exec *x, const node *n, int b, int worker)
{
    const value *v = &p->g->values[t->value];
    const real *dx = unscaled(p, x, v, exec_grad(x, t->value, b), worker);
    char *work = work_of(p, worker);
    size_t rows = t->is_matrix ? (size_t)p->g->seq_len : (size_t)v->rows;
    if (pt->formats[1]) add_formats(p, t, n, dx, &pt->formats[1][b]);
    if (!pt->gradient) return;
    gradient_reset(&pt->gradient[b]);
    if (!dx) return;
    for (size_t r = 0; r < (size_t)v->rows; r += rows) {
        slab s;
        if (t->is_matrix)
            slab_norms(&s, dx + r * rows, rows, rows, rows, op_attention_args(n)->causal,
                       (size_t)op_attention_args(n)->window, work);
        else
            slab_norms(&s, dx, rows, (size_t)v->cols, (size_t)v->ld, false, 0, work);
        gradient_add(&pt->gradient[b], &s);
    }
}

static void watch_grads(void *user, const exec *x, const node *n, const span *s, bool after)
{
    probe *p = user;
    if (!p->gradient && !p->format[1]) return;
    for (int i = n->first_tap; i != NONE; i = p->g->taps[i].next) {
        const tap *t = &p->g->taps[i];
        if (t->is_matrix != after) continue; /* attention writes these itself */
        for (int b = s->b0; b < s->b1; b++) tap_grads(p, t, &p->taps[i], x, n, b, s->worker);
    }
}

static const value *slot_value(const probe *p, int slot)
{
    return &p->g->values[p->g->taps[p->slot_taps[slot]].value];
}

static void keep_ranks(probe *p, int matrix, int kind, const double *eigenvalues)
{
    int slot = matrix / p->g->batch, b = matrix % p->g->batch;
    const value *v = slot_value(p, slot);
    size_t rows = (size_t)v->rows, cols = (size_t)v->cols;
    ranks *r = &p->taps[p->slot_taps[slot]].ranks[kind * p->g->batch + b];
    ranks_reset(r);
    ranks_add(r, eigenvalues, (int)gram_n(rows, cols), rows, cols, REAL_EPSILON);
}

static void spectra_task(void *context, int task, int worker)
{
    probe *p = context;
    const struct spectra_group *group = &p->groups[task];
    const value *v = slot_value(p, group->first / p->g->batch);
    const bool both = p->spectrum[0] && p->spectrum[1], by_token = v->rows <= v->cols;
    const size_t n = gram_n((size_t)v->rows, (size_t)v->cols);
    double *values[SPECTRUM_LANES],
        **second = values + SPECTRUM_PAIRS,
        *at = p->eigenvalues + (size_t)worker * SPECTRUM_LANES * p->gram_n;
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
        const int kind = both ? !by_token : p->spectrum[1];
        keep_ranks(p, group->first + i, kind, values[i]);
        if (both) keep_ranks(p, group->first + i, !kind, second[i]);
    }
}

/* Matrices side by side go together while they are alike; returns how many groups. */
static int group_matrices(probe *p, int slots)
{
    const int most = p->spectrum[0] && p->spectrum[1] ? SPECTRUM_PAIRS : SPECTRUM_LANES;
    int groups = 0;
    for (int slot = 0; slot < slots; slot++) {
        const value *v = slot_value(p, slot), *before = slot ? slot_value(p, slot - 1) : NULL;
        bool alike = before && before->rows == v->rows &&
                     (before->cols == v->cols || (v->rows <= v->cols && v->rows <= before->cols));
        for (int b = 0; b < p->g->batch; b++) {
            bool open = b > 0 || alike;
            if (!open || p->groups[groups - 1].n == most)
                p->groups[groups++] = (struct spectra_group){slot * p->g->batch + b, 0};
            p->groups[groups - 1].n++;
        }
    }
    return groups;
}

static void probe_spectra(probe *p, team *t, int segment)
{
    int slots = 0;
    if (!p->spectrum[0] && !p->spectrum[1]) return;
    for (int i = p->segment_taps[segment]; i < p->segment_taps[segment + 1]; i++)
        if (p->taps[i].slot != NONE) p->slot_taps[slots++] = i;
    if (slots) team_run(t, spectra_task, p, group_matrices(p, slots));
}

static void watch_stage(void *user, const exec *x, const stage *st)
{
    probe *p = user;
    probe_cosine_stage(&p->cosine, x, st);
    probe_correlation_stage(&p->correlation, x, st);
    if (st->ends_segment) probe_spectra(p, x->team, st->segment);
}

const watch *probe_watch(probe *p)
{
    p->watch =
        (watch){.user = p, .values = watch_values, .grads = watch_grads, .stage = watch_stage};
    return &p->watch;
}

double probe_grad_norm(const probe *p, int tap_index)
{
    gradient sum = p->taps[tap_index].gradient[0];
    for (int b = 1; b < p->g->batch; b++) gradient_merge(&sum, &p->taps[tap_index].gradient[b]);
    return gradient_norm(&sum);
}

void probe_finish(probe *p, int tap_index, bool with_grads, metric_value out[METRIC_COUNT])
{
    const graph *g = p->g;
    const tap *t = &g->taps[tap_index];
    probe_tap *pt = &p->taps[tap_index];
    size_t rows = (size_t)g->values[t->value].rows;
    for (int b = 1; b < g->batch; b++) {
        if (pt->moments) moments_merge(&pt->moments[0], &pt->moments[b]);
        if (pt->geometry) geometry_merge(&pt->geometry[0], &pt->geometry[b]);
        if (pt->outliers) outlier_merge(&pt->outliers[0], &pt->outliers[b]);
        if (pt->gradient && with_grads) gradient_merge(&pt->gradient[0], &pt->gradient[b]);
        if (pt->rows) attention_rows_merge(&pt->rows[0], &pt->rows[b]);
        if (pt->contraction) contraction_merge(&pt->contraction[0], &pt->contraction[b]);
        for (int i = 0; i < 2; i++)
            if (pt->formats[i] && (i == 0 || with_grads))
                headroom_merge(&pt->formats[i][0], &pt->formats[i][b]);
        for (int kind = 0; pt->ranks && kind < 2; kind++)
            if (p->spectrum[kind])
                ranks_merge(&pt->ranks[kind * g->batch], &pt->ranks[kind * g->batch + b]);
    }
    if (pt->moments) moments_finish(&pt->moments[0], pt->token_sq, (size_t)g->batch * rows, out);
    if (pt->geometry) geometry_finish(&pt->geometry[0], out);
    if (pt->gradient && with_grads) gradient_finish(&pt->gradient[0], out);
    for (int i = 0; i < 2; i++)
        if (pt->formats[i] && (i == 0 || with_grads))
            headroom_finish(&pt->formats[i][0], i == 1, out);
    probe_branch_finish(&p->branch, tap_index, out);
    probe_similarity_finish(&p->similarity, t, out);
    probe_cosine_finish(&p->cosine, tap_index, out);
    probe_correlation_finish(&p->correlation, tap_index, out);
    if (pt->outliers)
        outlier_finish(&pt->outliers[0], site_is_stream(t->site), pt->col_sq, (size_t)g->batch,
                       (size_t)g->values[t->value].cols, out);
    for (int kind = 0; pt->ranks && kind < 2; kind++)
        if (p->spectrum[kind]) ranks_finish(&pt->ranks[kind * g->batch], kind == 1, out);
    if (pt->coordinate.sums) probe_coordinate_finish(&pt->coordinate, g, out);
    if (pt->rows) attention_rows_finish(&pt->rows[0], out);
    if (pt->contraction) contraction_finish(&pt->contraction[0], out);
    if (!pt->entropy) return;
    uint32_t *visible = (uint32_t *)(void *)p->work;
    const node *n = &g->nodes[g->values[t->value].producer];
    size_t length = (size_t)g->seq_len;
    for (size_t i = 0; i < length; i++)
        visible[i] = (uint32_t)(op_attention_end(n, i, length) - op_attention_first(n, i));
    attention_finish(pt->entropy, (size_t)g->batch * rows / (size_t)g->seq_len, (size_t)g->seq_len,
                     visible, p->order, out);
}

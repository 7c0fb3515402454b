#include "core/network/slot.h"
#include "core/proxy/proxy.h"

#include "core/metric/gram.h"
#include "core/metric/spectrum.h"
#include "core/proxy/pass.h"
#include "core/proxy/sum.h"

static size_t most(size_t a, size_t b)
{
    return a > b ? a : b;
}

static void *each(arena *a, int n_threads, size_t count, size_t size)
{
    return arena_alloc(a, (size_t)n_threads * count * size);
}

static size_t round_up(size_t bytes)
{
    return (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
}

/* What the spectra of the sum family need: of sequences, features, attention matrices. */
static void layout_spectra(const session *s, int n_threads, proxy_work *w, arena *a)
{
    const graph *g = &s->g;
    size_t batch = (size_t)g->batch, width = (size_t)s->spec->model.d_model;
    w->slab_count = batch * (size_t)g->seq_len * width;
    w->gram_n = batch <= PROXY_MATRIX_MAX ? batch : 1;
    if (width <= PROXY_MATRIX_MAX) w->gram_n = most(w->gram_n, width);
    for (int i = 0; i < g->n_params; i++) {
        const param *p = &g->params[i];
        if (!proxy_is_matrix(p, PROXY_MIXERS) || gram_n(p->dims[0], p->dims[1]) > PROXY_MATRIX_MAX)
            continue;
        w->gram_n = most(w->gram_n, gram_n(p->dims[0], p->dims[1]));
        w->gram_work_bytes = most(w->gram_work_bytes, gram_work_bytes(p->dims[0], p->dims[1]));
    }
    w->gram_work_bytes = round_up(w->gram_work_bytes);
    w->scratch_bytes = round_up(spectrum_scratch_bytes((int)w->gram_n));
    w->slab = each(a, n_threads, w->slab_count, sizeof *w->slab);
    w->gram = each(a, n_threads, 2 * w->gram_n * w->gram_n, sizeof *w->gram);
    w->eigen = each(a, n_threads, 2 * w->gram_n, sizeof *w->eigen);
    w->scratch = each(a, n_threads, w->scratch_bytes, 1);
    w->gram_work = each(a, n_threads, w->gram_work_bytes, 1);
    w->covariances = arena_alloc(a, 2 * (size_t)s->spec->depth * sizeof *w->covariances);
}

static void layout_codes(const session *s, proxy_work *w, arena *a)
{
    const graph *g = &s->g;
    size_t batch = (size_t)g->batch, units = (size_t)g->seq_len * (size_t)slot_units(s->spec);
    w->words = (units + 63) / 64;
    w->codes = arena_alloc(a, batch * w->words * sizeof *w->codes);
    w->agree = arena_alloc(a, 2 * batch * batch * sizeof *w->agree);
}

void proxy_layout(const session *s, proxy_family f, int n_threads, proxy_work *w, arena *a)
{
    size_t depth = (size_t)s->spec->depth, tokens = (size_t)s->g.batch * (size_t)s->g.seq_len;
    *w = (proxy_work){0};
    w->layers = arena_alloc(a, PROXY_VECTORS * (depth + 2) * sizeof *w->layers);
    w->params = arena_alloc(a, PROXY_VECTORS * (size_t)s->g.n_params * sizeof *w->params);
    if (f == PROXY_SUM) {
        layout_spectra(s, n_threads, w, a);
        layout_codes(s, w, a);
    }
    if (f == PROXY_LOSS) {
        w->weights = arena_alloc(a, s->p.param_count * sizeof(real));
        w->gradient = arena_alloc(a, s->p.param_count * sizeof(real));
    }
    if (f == PROXY_ZEN)
        w->output = arena_alloc(a, tokens * (size_t)s->spec->model.d_model * sizeof(real));
}

/* A product of [n, m] rows with themselves, and its eigenvalues. */
static double spectrum_flops(double n, double m)
{
    return n * n * m + 4 * n * n * n / 3;
}

double proxy_work_flops(const session *s, const run_spec *spec, proxy_family f)
{
    const bool *m = spec->measure.metrics;
    const graph *g = &s->g;
    double sum = 0, width = spec->model.d_model, places = (double)g->batch * g->seq_len;
    if (f != PROXY_SUM) return 0;
    if (m[METRIC_hidden_cov_unit] || m[METRIC_hidden_cov_unit_per_row] ||
        m[METRIC_hidden_cov_unit_nulls])
        sum += width <= PROXY_MATRIX_MAX ? spec->depth * spectrum_flops(width, places) : 0;
    if (!m[METRIC_synaptic_diversity] && !m[METRIC_synaptic_diversity_per_tensor] &&
        !m[METRIC_synaptic_diversity_log10])
        return sum;
    for (int i = 0; i < g->n_params; i++) {
        const param *p = &g->params[i];
        if (!proxy_is_matrix(p, PROXY_MIXERS)) continue;
        double least = (double)gram_n(p->dims[0], p->dims[1]);
        if (least <= PROXY_MATRIX_MAX) sum += 2 * spectrum_flops(least, (double)p->count / least);
    }
    return sum;
}

size_t proxy_pass_bytes(void)
{
    return sizeof(proxy_pass);
}

static err_code too_small(const proxy_job *job, size_t needed, error *err)
{
    return error_set(err, ERR_MEMORY, "", "the proxies need %zu bytes, the run was given %zu",
                     needed, job->memory_bytes);
}

static err_code layout(proxy_pass *p, arena *a, error *err)
{
    arena counting;
    session sizes = p->s;
    arena_init(&counting, NULL, 0);
    session_layout(&sizes, p->job->team->size, &counting);
    proxy_layout(&sizes, p->family, p->job->team->size, &p->w, &counting);
    if (counting.used > a->size - a->used) return too_small(p->job, a->used + counting.used, err);
    session_layout(&p->s, p->job->team->size, a);
    proxy_layout(&p->s, p->family, p->job->team->size, &p->w, a);
    return ERR_OK;
}

static err_code run_family(const proxy_job *job, proxy_family f, double done, error *err)
{
    static err_code (*const families[])(proxy_pass *, error *) = {
        [PROXY_SUM] = proxy_sum,
        [PROXY_LOSS] = proxy_loss,
        [PROXY_SYNFLOW] = proxy_synflow,
        [PROXY_ZEN] = proxy_zen,
    };
    arena a;
    arena_init(&a, job->memory, job->memory_bytes);
    proxy_pass *p = arena_alloc(&a, sizeof *p);
    if (!p) return too_small(job, sizeof *p, err);
    p->job = job;
    p->family = f;
    p->n_rows = 0;
    p->done = done;
    p->inside = f == PROXY_LOSS ? 1 : proxy_family_units(job->spec, f);
    if (!proxy_derive(job->spec, f, &p->spec)) {
        proxy_write_undefined(p, proxy_first(f), proxy_last(f), REASON_NO_FORM);
        proxy_flush(p);
        return ERR_OK;
    }
    plan_options kept = proxy_keeps(job->spec, f);
    err_code code = session_build_as(&p->s, &p->spec, &kept, &a, err);
    if (!code) code = layout(p, &a, err);
    if (!code) code = families[f](p, err);
    if (!code) proxy_flush(p);
    return code;
}

err_code proxy_run(const proxy_job *job, error *err)
{
    double done = 0;
    for (int f = 0; f < PROXY_FAMILIES; f++) {
        if (!proxy_needs(job->spec, (proxy_family)f)) continue;
        err_code code = run_family(job, (proxy_family)f, done, err);
        arena_release(job->memory, job->memory_bytes);
        if (code) return code;
        done += proxy_family_units(job->spec, (proxy_family)f);
    }
    return ERR_OK;
}

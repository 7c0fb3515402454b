#include "core/theory/theory.h"

#include "core/loss/loss.h"
#include "core/metric/fit.h"
#include "core/placement/placement.h"
#include "core/theory/readout.h"
#include "core/theory/tell.h"

#include <math.h>
#include <string.h>

/* --- blocks --- */

static stream base_of(walk *w)
{
    stream b = w->x;
    b.k = w->base;
    memcpy(b.k, w->x.k, walk_each(w) * sizeof *b.k);
    return b;
}

/* Sublayer i of a block, with the factor of the stream that profiling finds. */
static void sublayer_at(walk *w, int layer, int i, sublayer *out)
{
    setting_sublayer(&w->s, layer, i, out);
    if (placement_table[w->spec->strategy.placement]->theory.profiled)
        out->alpha = w->ratio[w->each * (layer - 1) + i];
}

/* The ratio of the next sublayer: of the whole sum, as if its variance were all of it. */
static void profile(walk *w, int layer, int i, const sublayer *s, double q, const trace *tr)
{
    double b = kernel_means(tr->branch, &w->s.tokens).q;
    w->ratio[w->each * (layer - 1) + i + 1] = sqrt(s->alpha * s->alpha * q + b);
}

static kept *kept_of(const walk *w, int layer, int i)
{
    return &w->kept[w->each * ((layer - 1) % w->every) + i];
}

/* One block forward; emit: the rows too. */
static void block_forward(walk *w, int layer, bool emit)
{
    size_t bytes = walk_each(w) * sizeof(double);
    double entropy[TOKENS_MAX];
    stream base = base_of(w);
    const bool errors = emit && w->in_error;
    emit = emit && tell_told(w, layer);
    for (int i = 0; i < w->each; i++) {
        sublayer s;
        kept *of = kept_of(w, layer, i);
        trace *tr = &of->made;
        memcpy(of->k, w->x.k, bytes);
        tr->entropy = emit ? entropy : NULL;
        if (of->mu) memcpy(of->mu, w->x.mu, (size_t)w->s.tokens.n * sizeof *of->mu);
        double q = kernel_means(w->x.k, &w->s.tokens).q;
        sublayer_at(w, layer, i, &s);
        sublayer_forward(&s, &w->s.tokens, &w->x, &base, tr, w->work, w->series);
        profile(w, layer, i, &s, q, tr);
        if (errors && s.mapped) w->in_error[layer - 1] = tr->in_error;
        if (i == 0) sublayer_ratio(&s, &w->s.tokens, tr, &base);
        if (emit) tell_sublayer(w, layer, &s, tr);
    }
}

/* Of the means over features of tokens, where branches make some. */
static double mean_square(const walk *w)
{
    const tokens *t = &w->s.tokens;
    double sum = 0;
    for (int i = 0; w->in_error && i < t->n; i++) sum += t->size[i] * w->x.mu[i] * w->x.mu[i];
    return sum / t->length;
}

static void forward(walk *w)
{
    const run_spec *spec = w->spec;
    tell_stream(w, 0, SITE_embed, &w->x);
    for (int l = 1; l <= spec->depth; l++) {
        if (w->starts && (l - 1) % w->every == 0) {
            int k = (l - 1) / w->every;
            memcpy(w->starts + (size_t)k * walk_each(w), w->x.k, walk_each(w) * sizeof(double));
            memcpy(w->start_mu[k], w->x.mu, sizeof w->x.mu);
        }
        if (tell_told(w, l)) {
            tell_stream(w, l, SITE_resid_in, &w->x);
            if (tell_wanted(w, SITE_param, METRIC_param_weight_norm)) tell_weights(w, l);
        }
        block_forward(w, l, true);
        kernel_mean m = kernel_means(w->x.k, &w->s.tokens);
        w->var[l - 1] = m.q - mean_square(w);
        w->apart[l - 1] = fit_apart(m.pairs / m.q);
        if (w->apart[l - 1] > 0)
            w->apart_error = sqrt(spread_corr(&w->x.error, m)) / w->apart[l - 1];
    }
}

/* --- gradients --- */

/* Mean square correlation of the gradients of two tokens, each with itself included: 1 where all are
 * one, so that a random matrix errs alike for all. */
static double alike(const walk *w, const double *k)
{
    const tokens *t = &w->s.tokens;
    double q = kernel_means(k, t).q;
    return q > 0 ? fmin(kernel_overlap(k, k, t) / (q * q), 1) : 1;
}

/* What tokens have in common they err in together: of the matrix by their gradients, of the slopes
 * by what they read, too. */
static void grow_mapped(walk *w, const sublayer *s, double share, const trace *tr)
{
    double grads = alike(w, w->sum_grad), reads = alike(w, tr->in);
    double units = (2 * grads + reads * (1 + 2 * grads)) / s->hidden,
           last = s->one_matrix ? 0 : 2 * grads / s->width;
    w->error += share * share * (units + last);
    if (walk_adds(s))
        w->error += 2 * share / s->width; /* the stream's gradient with the branch's */
    /* E 1/q > 1/E q in norms of what an activation leaves */
    if (s->inner.kind == STEP_ROW ||
        (s->one_matrix && (s->out.kind == STEP_ROW || s->post.kind == STEP_ROW)))
        w->bias += share * (s->gated ? 12.0 : 3.0) / s->hidden;
}

/* What the products of a sublayer add to the relative variance of the gradient: that of its
 * branch's share. */
static void grow_error(walk *w, const sublayer *s, const trace *tr, double before, double after)
{
    double share = after > 0 ? fabs(after - before) / after : 0;
    if (s->mapped) {
        grow_mapped(w, s, walk_adds(s) ? share : 1, tr);
        return;
    }
    w->error += share * share * 4 / w->spec->model.d_model + 2 * share / w->spec->model.d_model;
}

static void block_backward(walk *w, int layer)
{
    const kept *first = kept_of(w, layer, 0);
    stream base = {.k = first->k};
    memset(w->to_base, 0, walk_each(w) * sizeof(double));
    sublayer s;
    matrix_grads of;
    const bool matrices = w->parameters && tell_told(w, layer);
    sublayer_at(w, layer, 0, &s);
    sublayer_ratio(&s, &w->s.tokens, &first->made, &base);
    for (int i = w->each - 1; i >= 0; i--) {
        kept *from = kept_of(w, layer, i);
        stream x = {.k = from->k};
        if (from->mu) memcpy(x.mu, from->mu, (size_t)w->s.tokens.n * sizeof *from->mu);
        sublayer_at(w, layer, i, &s);
        if (s.mapped) from->made.in_error = w->in_error[layer - 1];
        sublayer_backward(&s, &w->s.tokens, &x, &base, &from->made, w->grad, w->to_base,
                          w->sum_grad, matrices ? &of : NULL, w->work, w->series);
        if (matrices) tell_matrices(w, layer, &s, &of);
        if (walk_adds(&s)) tell_gradient(w, layer, s.site, w->sum_grad);
        grow_error(w, &s, &from->made, kernel_means(w->sum_grad, &w->s.tokens).q,
                   kernel_means(w->grad, &w->s.tokens).q);
        swing_back(&w->swing, &s, kernel_means(from->k, &w->s.tokens).q, &from->made);
        if (i > 0) tell_gradient(w, layer, SITE_resid_mid, w->grad);
    }
    for (size_t i = 0; i < walk_each(w); i++) w->grad[i] += w->to_base[i];
}

static void fill_seed(const walk *w, double *grad, const seed_kernel *k)
{
    int n = w->s.tokens.n;
    for (int i = 0; i < n * n; i++) grad[i] = k->other;
    for (int i = 0; i < n; i++) {
        grad[n * n + i] = k->own;
        if (w->s.tokens.size[i] == 1) grad[i * n + i] = k->own;
    }
    for (size_t i = kernel_doubles(n); i < walk_each(w); i++) grad[i] = k->across;
}

/* Adds to pairs of places what goes with the cosine of their streams. */
static void add_along(const walk *w, double *grad, double along, const double *k)
{
    int n = w->s.tokens.n;
    const double *q = k + n * n;
    size_t one = kernel_doubles(n);
    for (size_t half = 0; along > 0 && half < walk_each(w); half += one)
        for (int i = 0; i < n; i++) {
            for (int j = 0; j < n; j++)
                if (half || i != j || w->s.tokens.size[i] > 1)
                    grad[half + (size_t)(i * n + j)] +=
                        along * k[half + (size_t)(i * n + j)] / sqrt(q[i] * q[j]);
            if (half)
                grad[half + (size_t)(n * n + i)] += along * k[half + (size_t)(n * n + i)] / q[i];
        }
}

/* Does the norm take out of a gradient what lies along its rows? */
static bool takes_rows(const norm_step *s)
{
    return s->kind == STEP_ROW && !s->frozen;
}

/* Without a final norm that of the last block takes out what the readout shares with the stream. */
static void meet_last_norm(walk *w)
{
    sublayer s;
    sublayer_at(w, w->spec->depth, w->each - 1, &s);
    norm_step final = setting_final(&w->s);
    if (final.kind == STEP_NONE && takes_rows(&s.post))
        memcpy(w->grad, w->past, walk_each(w) * sizeof *w->grad);
}

static void backward(walk *w)
{
    int L = w->spec->depth;
    for (int k = (L - 1) / w->every; k >= 0; k--) {
        int first = k * w->every + 1, last = first + w->every - 1 < L ? first + w->every - 1 : L;
        memcpy(w->x.k, w->starts + (size_t)k * walk_each(w), walk_each(w) * sizeof(double));
        memcpy(w->x.mu, w->start_mu[k], sizeof w->x.mu);
        for (int l = first; l <= last && last < L; l++) block_forward(w, l, false);
        for (int l = last; l >= first; l--) {
            tell_gradient(w, l, SITE_resid_out, w->grad);
            w->grad_norm[l - 1] = sqrt(kernel_means(w->grad, &w->s.tokens).q / w->last_grad);
            if (l == L) meet_last_norm(w);
            block_backward(w, l);
            tell_gradient(w, l, SITE_resid_in, w->grad);
        }
    }
    tell_gradient(w, 0, SITE_embed, w->grad);
}

/* --- the ends --- */

/* The last site: its kernel, and the gradient that the loss gives it, or why that is unknown. */
static reason finish(walk *w, const theory_data *data)
{
    const run_spec *spec = w->spec;
    int n = w->s.tokens.n;
    norm_step final = setting_final(&w->s);
    double *last = w->kernels, mu[TOKENS_MAX];
    memcpy(last, w->x.k, walk_each(w) * sizeof *last);
    memcpy(mu, w->x.mu, sizeof mu);
    kernel_mean before = kernel_means(last, &w->s.tokens);
    norm_forward(&final, last, mu, &w->s.tokens, w->work, w->series);
    kernel_mean m = kernel_means(last, &w->s.tokens);
    spread e = w->x.error;
    spread_normalise(&e, &final, before, m);
    tell_kernel(w, spec->depth + 1, SITE_final_norm, last, mu, spread_log(&e, m),
                spread_corr(&e, m));
    double across = w->s.tokens.halves > 1
                        ? kernel_means(last + kernel_doubles(n), &w->s.tokens).p / m.q
                        : (double)NAN;
    readout seed = readout_of(&w->s, data, m, across, w->x.share,
                              w->first_share > 0 ? 1 - w->x.share / w->first_share : 0);
    if (loss_table[spec->train.loss]->uses_tokens)
        tell(w, -1, SITE_run, METRIC_loss, seed.loss,
             0.02 + seed.logit_var * seed.logit_var / 4 + 4 * sqrt(seed.loss_var), LAW_uniform_loss,
             seed.reason);
    else
        tell_reason(w, METRIC_loss, LAW_uniform_loss, REASON_NO_LAW);
    if (!seed.shape_known) return seed.reason;
    /* the mean over features that layers add to a raw stream carries a gradient that no kernel has */
    if (setting_one_matrix(spec) && w->stream_law == LAW_residual_growth) return REASON_NO_LAW;
    fill_seed(w, w->grad, &seed.at);
    fill_seed(w, w->past, &seed.past);
    add_along(w, w->past, seed.along, w->x.k);
    w->error = 1.0 / spec->model.d_model + seed.error;
    if (!seed.matrices) w->parameters = false;
    w->joint = seed.joint, w->shared = seed.shared;
    memcpy(w->sum_grad, w->grad, walk_each(w) * sizeof *w->grad);
    if (takes_rows(&final)) memcpy(w->grad, w->past, walk_each(w) * sizeof *w->grad);
    norm_backward(&final, w->grad, w->x.k, w->x.mu, &w->s.tokens, 1, w->work, w->series);
    w->last_grad = kernel_means(w->grad, &w->s.tokens).q;
    tell_gradient(w, spec->depth + 1, SITE_final_norm, w->sum_grad);
    return REASON_NONE;
}

static bool wants_parameters(const run_spec *spec)
{
    const metric of[] = {METRIC_param_grad_norm, METRIC_param_grad_rms, METRIC_param_grad_ratio,
                         METRIC_qk_to_v_grad_ratio};
    bool any = false;
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) any |= spec->measure.metrics[of[i]];
    return any && spec->measure.sites[SITE_param];
}

/* Gradients of parameters add over the sequences of a batch, which have tokens in common. */
static bool has_halves(const run_spec *spec)
{
    return spec->data.batch > 1 && wants_parameters(spec);
}

static bool wants_gradients(const run_spec *spec)
{
    const metric of[] = {METRIC_grad_norm,       METRIC_grad_rms,    METRIC_grad_norm_rel,
                         METRIC_grad_token_corr, METRIC_grad_growth, METRIC_grad_growth_law};
    bool any = false;
    for (size_t i = 0; i < sizeof of / sizeof *of; i++) any |= spec->measure.metrics[of[i]];
    return any || wants_parameters(spec);
}

static bool needs_backward(metric m)
{
    return tell_law(m) == LAW_gradient_kernel || tell_law(m) == LAW_matrix_gradient ||
           m == METRIC_grad_growth || m == METRIC_grad_growth_law;
}

/* --- memory --- */

/* So that theory takes about a twentieth of the run's passes: 0.6 us for a block and a pair of
 * groups, for each half of its kernels, beside 30 GFLOP/s. */
static int affordable_groups(const run_spec *spec)
{
    const spec_model *m = &spec->model;
    double d = m->d_model, T = spec->data.seq_len, inner = (double)m->n_heads * m->head_dim;
    double pass = spec->data.batch * T * (8 * d * inner + 4 * d * slot_units(spec) + 4 * T * inner);
    double n = sqrt(0.05 * 3 * pass / 30e9 / (has_halves(spec) ? 1.2e-6 : 0.6e-6));
    return n < THEORY_GROUPS ? (int)n : THEORY_GROUPS;
}

static int most_groups(const run_spec *spec)
{
    int most = (int)sqrt((double)THEORY_BUDGET / spec->depth), affordable = affordable_groups(spec);
    if (affordable < THEORY_GROUPS_RUN) affordable = THEORY_GROUPS_RUN;
    if (affordable < most) most = affordable;
    if (most > THEORY_GROUPS) most = THEORY_GROUPS;
    if (most < THEORY_GROUPS_MIN) most = THEORY_GROUPS_MIN;
    if (placement_table[spec->strategy.placement]->theory.mixing == RECIPE_TARGET)
        most = TOKENS_MAX;
    return most;
}

static int groups_of(const run_spec *spec)
{
    int most = most_groups(spec);
    return spec->data.seq_len < most ? spec->data.seq_len : most;
}

/* Blocks of a segment: as many as fit, evenly; 1 where nothing comes back. */
static int segment_of(const run_spec *spec, size_t block_bytes, bool alone)
{
    const size_t most = (alone ? THEORY_KEPT : THEORY_KEPT_RUN) / block_bytes;
    const int depth = spec->depth, every = most < 1 ? 1 : most < (size_t)depth ? (int)most : depth;
    const int segments = (depth - 1) / every + 1;
    return wants_gradients(spec) ? (depth - 1) / segments + 1 : 1;
}

static void layout_segment(walk *w, const run_spec *spec, size_t n, bool alone, arena *a)
{
    const size_t halves = has_halves(spec) ? 2 : 1, one = halves * kernel_doubles((int)n),
                 own = one + trace_doubles((int)n, (int)halves);
    w->every = segment_of(spec, (size_t)w->each * own * sizeof(double), alone);
    const size_t segments = (size_t)(spec->depth - 1) / (size_t)w->every + 1,
                 rows = (size_t)w->each * (size_t)w->every;
    w->kept = arena_alloc(a, rows * sizeof *w->kept);
    double *at = arena_alloc(a, rows * own * sizeof *at);
    for (size_t i = 0; w->kept && i < rows; i++, at += own) w->kept[i] = (kept){.k = at};
    if (setting_one_matrix(spec)) {
        double *mu = arena_alloc(a, 3 * rows * n * sizeof *mu);
        for (size_t i = 0; w->kept && i < rows; i++, mu += 3 * n) w->kept[i].mu = mu;
    }
    w->starts = NULL;
    if (!wants_gradients(spec)) return;
    w->starts = arena_alloc(a, segments * one * sizeof(double));
    w->start_mu = arena_alloc(a, segments * sizeof *w->start_mu);
}

static void layout(walk *w, const run_spec *spec, bool alone, arena *a)
{
    size_t n = (size_t)groups_of(spec), halves = has_halves(spec) ? 2 : 1,
           half = kernel_doubles((int)n) * sizeof(double), one = halves * half;
    size_t depth = (size_t)spec->depth;
    const branch *list[SLOTS];
    w->each = slot_branches(list, spec);
    layout_segment(w, spec, n, alone, a);
    w->x.k = arena_alloc(a, one);
    w->grad = arena_alloc(a, one);
    w->past = arena_alloc(a, one);
    w->to_base = arena_alloc(a, one);
    w->sum_grad = arena_alloc(a, one);
    w->base = arena_alloc(a, one);
    w->work = arena_alloc(a, sublayer_work_doubles((int)n, (int)halves) * sizeof(double));
    /* SETTING_KERNELS, then the work of constant mixing matrices */
    size_t given =
        placement_table[spec->strategy.placement]->theory.mixing == RECIPE_TARGET ? 8 : 0;
    w->kernels = arena_alloc(a, one + (SETTING_KERNELS + given) * half);
    w->series = arena_alloc(a, 2 * n * sizeof *w->series);
    w->ratio = arena_alloc(a, ((size_t)w->each * depth + 1) * sizeof(double));
    w->var = arena_alloc(a, (depth + 1) * sizeof(double));
    w->grad_norm = arena_alloc(a, (depth + 1) * sizeof(double));
    if (setting_is_mapped(spec)) w->in_error = arena_alloc(a, depth * sizeof(double));
    w->apart = arena_alloc(a, (depth + 1) * sizeof(double));
}

size_t theory_bytes(const run_spec *spec, bool alone)
{
    walk w;
    arena counting;
    arena_init(&counting, NULL, 0);
    memset(&w, 0, sizeof w);
    arena_alloc(&counting, sizeof w);
    layout(&w, spec, alone, &counting);
    return counting.used;
}

static law law_of_stream(const run_spec *spec)
{
    const recipe *r = &placement_table[spec->strategy.placement]->theory;
    bool no_norms = !r->attn.in && !r->attn.out && !r->attn.post && !r->mlp.in && !r->mlp.out &&
                    !r->mlp.post && !r->mlp.stream && !r->kind;
    if (r->mixing == RECIPE_TARGET) return LAW_target_kernel;
    if (r->mixing == RECIPE_IDENTITY) return LAW_identity_mixing;
    if (r->no_skip) return LAW_layer_map;
    if (r->attn.post && r->mlp.post) return LAW_unit_stream;
    if (r->attn.out && r->mlp.out) return LAW_peri_linear;
    return no_norms ? LAW_residual_growth : LAW_token_kernel;
}

static void walk_all(walk *w, const theory_data *data)
{
    const run_spec *spec = w->spec;
    bool single = spec->data.seq_len < 2;
    bool all = !placement_table[spec->strategy.placement]->theory.stream_only;
    /* the first kernel of the block is that of the ends */
    size_t halves = has_halves(spec) ? 2 : 1;
    /* attention to the raw stream and nothing else: one run differs from the next by more than is
     * known of it */
    w->stream_law = law_of_stream(spec);
    const bool alone = w->stream_law == LAW_residual_growth && !slot_mlp(spec);
    w->parameters = wants_parameters(spec) && !alone;
    setting_init(&w->s, spec, most_groups(spec), halves > 1,
                 w->kernels + halves * kernel_doubles(groups_of(spec)));
    for (int i = 0; i < w->each * w->every; i++) {
        kept *of = &w->kept[i];
        trace_place(&of->made, of->k + walk_each(w), &w->s.tokens);
        if (of->mu) of->made.branch_mu = of->mu + w->s.tokens.n;
        if (of->mu) of->made.sum_mu = of->mu + 2 * w->s.tokens.n;
    }
    tell_special(w);
    setting_stream(&w->s, data, &w->x, w->series, w->work);
    w->first_share = w->x.share;
    w->ratio[0] = 1;
    forward(w);
    kernel_mean m = kernel_means(w->x.k, &w->s.tokens);
    tell_growth(w, METRIC_var_growth, METRIC_var_growth_law, w->var,
                tell_log_tolerance(spread_log(&w->x.error, m)) +
                    tell_mean_tolerance(w, mean_square(w), m.q));
    tell_angle(w);
    reason why = all ? finish(w, data) : REASON_NO_LAW_PLACEMENT;
    if (!all) tell_reason(w, METRIC_loss, LAW_uniform_loss, why);
    if (!why && wants_gradients(spec)) {
        backward(w);
        tell_growth(w, METRIC_grad_growth, METRIC_grad_growth_law, w->grad_norm,
                    tell_log_tolerance(walk_error(w) / 4) + w->bias);
    }
    for (int i = 0; why && i < METRIC_COUNT; i++)
        if (needs_backward((metric)i) && !(single && i == METRIC_grad_token_corr))
            tell_reason(w, (metric)i, tell_law((metric)i), why);
    for (int i = 0; !why && wants_parameters(spec) && !w->parameters && i < METRIC_COUNT; i++)
        if (tell_law((metric)i) == LAW_matrix_gradient)
            tell_reason(w, (metric)i, LAW_matrix_gradient,
                        alone ? REASON_NO_LAW : REASON_NO_LAW_LOSS);
}

void theory_predict(const run_spec *spec, const theory_data *data, void *memory, const sink *to)
{
    arena a;
    if (!to->predict) return;
    arena_init(&a, memory, theory_bytes(spec, !data));
    walk *w = arena_alloc(&a, sizeof *w);
    memset(w, 0, sizeof *w);
    w->spec = spec, w->to = to;
    layout(w, spec, !data, &a);
    reason why = setting_reason(spec);
    tell_uncovered(w);
    if (why)
        tell_missing(w, why);
    else
        walk_all(w, data);
    tell_flush(w);
}

#include "core/run/train.h"

#include "core/network/parametrization.h"
#include "core/optimizer/optimizer.h"
#include "core/schedule/schedule.h"

double train_grad_sq(const session *s, int p)
{
    const param *w = &s->g.params[p];
    double sum = 0;
    for (int i = 0; i < w->n_slices; i++) sum += s->x.slices[w->slices + (size_t)i];
    return sum;
}

double train_grad_norm(const session *s)
{
    double sum = 0;
    for (int p = 0; p < s->g.n_params; p++)
        if (s->g.params[p].grad_buffer != NONE) sum += train_grad_sq(s, p);
    return sqrt(sum);
}

grad_spread train_grad_spread(const session *s, int p)
{
    const param *w = &s->g.params[p];
    grad_spread sum = {0};
    for (int i = 0; i < w->n_slices; i++)
        grad_spread_merge(&sum, &s->x.spread[w->slices + (size_t)i]);
    return sum;
}

struct updating {
    session *s;
    update base;
};

static int param_of_chunk(const session *s, int chunk)
{
    int low = 0, high = s->g.n_params - 1;
    while (low < high) {
        int mid = (low + high + 1) / 2;
        if (s->chunk_first[mid] <= chunk)
            low = mid;
        else
            high = mid - 1;
    }
    return low;
}

static void update_chunk(void *context, int task, int worker)
{
    (void)worker;
    struct updating *run = context;
    session *s = run->s;
    const spec_train *t = &s->spec->train;
    int p = param_of_chunk(s, task);
    const param *w = &s->g.params[p];
    size_t first = (size_t)(task - s->chunk_first[p]) * CHUNK, n = w->count - first;
    if (n > CHUNK) n = CHUNK;
    update u = run->base;
    u.decay = t->decay == DECAY_ALL || w->rank == 2 ? t->weight_decay : 0;
    u.rate *= parametrization_rate(s->spec, w);
    u.decay *= parametrization_decay(s->spec, w);
    real *states[OPTIMIZER_STATES] = {NULL};
    for (int i = 0; i < OPTIMIZER_STATES; i++)
        if (s->states[i]) states[i] = s->states[i] + w->data + first;
    s->chunk_moved[task] = optimizer_table[t->optimizer]->update(
        &u, exec_weight(&s->x, p) + first, exec_param_grad(&s->x, p) + first, states, n);
}

double train_update(session *s, int k, double grad_norm)
{
    const spec_train *t = &s->spec->train;
    double scale = !isnan(t->clip) && grad_norm > t->clip ? t->clip / grad_norm : 1;
    struct updating run = {s,
                           {.train = t, .k = k, .rate = schedule_rate(t, k), .grad_scale = scale}};
    team_run(s->x.team, update_chunk, &run, s->chunk_first[s->g.n_params]);
    train_project(s);
    return run.base.rate;
}

static real factor_of(double square)
{
    const double rounding = 16 * REAL_EPSILON;
    return fabs(square - 1) <= rounding ? 1 : (real)(1 / sqrt(square));
}

static void project_rows(real *w, size_t rows, size_t cols)
{
    for (size_t r = 0; r < rows; r++, w += cols) {
        real f = factor_of(exec_sum_squares(w, cols));
        for (size_t i = 0; i < cols; i++) w[i] *= f;
    }
}

/* A block of columns at a time, down all rows. */
static void project_columns(real *w, size_t rows, size_t cols)
{
    enum { COLUMNS = 64 };
    for (size_t first = 0; first < cols; first += COLUMNS) {
        size_t n = cols - first < COLUMNS ? cols - first : COLUMNS;
        double square[COLUMNS] = {0};
        real f[COLUMNS];
        for (size_t r = 0; r < rows; r++)
            for (size_t i = 0; i < n; i++) {
                double x = (double)w[r * cols + first + i];
                square[i] += x * x;
            }
        for (size_t i = 0; i < n; i++) f[i] = factor_of(square[i]);
        for (size_t r = 0; r < rows; r++)
            for (size_t i = 0; i < n; i++) w[r * cols + first + i] *= f[i];
    }
}

static void project_param(void *context, int task, int worker)
{
    (void)worker;
    session *s = context;
    const param *p = &s->g.params[task];
    real *w = exec_weight(&s->x, task);
    if (p->projection == PROJECT_ROWS) project_rows(w, p->dims[0], p->dims[1]);
    if (p->projection == PROJECT_COLUMNS) project_columns(w, p->dims[0], p->dims[1]);
}

void train_project(session *s)
{
    bool any = false;
    for (int i = 0; i < s->g.n_params; i++) any |= s->g.params[i].projection != PROJECT_NONE;
    if (any) team_run(s->x.team, project_param, s, s->g.n_params);
}

double train_moved_sq(const session *s, int p)
{
    double sum = 0;
    for (int c = s->chunk_first[p]; c < s->chunk_first[p + 1]; c++) sum += s->chunk_moved[c];
    return sum;
}

static void weight_norm(void *context, int task, int worker)
{
    (void)worker;
    session *s = context;
    s->weight_sq[task] = exec_sum_squares(exec_weight(&s->x, task), s->g.params[task].count);
}

void train_weight_norms(session *s)
{
    team_run(s->x.team, weight_norm, s, s->g.n_params);
}

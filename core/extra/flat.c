#include "core/extra/flat.h"

enum { PIECE = 1 << 16 };

typedef struct flat_run flat_run;

/* Entries from..to-1. */
typedef double flat_work(const flat_run *r, size_t from, size_t to);

struct flat_run {
    const flat *f;
    flat_work *work;
    real *y;
    const real *a, *b;
    double by;
    const rng *random;
};

static size_t pieces_of(size_t count)
{
    return (count + PIECE - 1) / PIECE;
}

void flat_layout(flat *f, const plan *p, arena *a)
{
    *f = (flat){.end = p->param_count};
    f->sums = arena_alloc(a, pieces_of(p->param_count) * sizeof *f->sums);
}

static void piece(void *context, int task, int worker)
{
    (void)worker;
    const flat_run *r = context;
    size_t from = r->f->first / PIECE * PIECE + (size_t)task * PIECE, to = from + PIECE;
    if (from < r->f->first) from = r->f->first;
    if (to > r->f->end) to = r->f->end;
    r->f->sums[task] = r->work(r, from, to);
}

static double all(flat_run r, bool largest)
{
    int pieces = r.f->end > r.f->first ? (int)(pieces_of(r.f->end) - r.f->first / PIECE) : 0;
    double sum = 0;
    team_run(r.f->x->team, piece, &r, pieces);
    for (int i = 0; i < pieces; i++) {
        double part = r.f->sums[i];
        sum = !largest ? sum + part : part > sum || isnan(part) ? part : sum;
    }
    return sum;
}

static double dot_work(const flat_run *r, size_t from, size_t to)
{
    return exec_dot(r->a + from, r->b + from, to - from);
}

double flat_dot(const flat *f, const real *a, const real *b)
{
    return all((flat_run){.f = f, .work = dot_work, .a = a, .b = b}, false);
}

static double scale_work(const flat_run *r, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) r->y[i] = (real)((double)r->y[i] * r->by);
    return 0;
}

void flat_scale(const flat *f, real *y, double by)
{
    all((flat_run){.f = f, .work = scale_work, .y = y, .by = by}, false);
}

static double add_work(const flat_run *r, size_t from, size_t to)
{
    for (size_t i = from; i < to; i++) r->y[i] = (real)((double)r->y[i] + r->by * (double)r->a[i]);
    return 0;
}

void flat_add(const flat *f, real *y, double by, const real *x)
{
    all((flat_run){.f = f, .work = add_work, .y = y, .by = by, .a = x}, false);
}

static double normal_work(const flat_run *r, size_t from, size_t to)
{
    double block[RNG_BLOCK];
    size_t at = SIZE_MAX;
    for (size_t i = from; i < to; i++) {
        if (i / RNG_BLOCK != at) rng_normal_block(r->random, at = i / RNG_BLOCK, block);
        r->y[i] = (real)block[i % RNG_BLOCK];
    }
    return 0;
}

void flat_normal(const flat *f, real *y, const rng *random)
{
    all((flat_run){.f = f, .work = normal_work, .y = y, .random = random}, false);
}

static int param_at(const graph *g, size_t index)
{
    int low = 0, high = g->n_params - 1;
    while (low < high) {
        int mid = (low + high + 1) / 2;
        if (g->params[mid].data <= index)
            low = mid;
        else
            high = mid - 1;
    }
    return low;
}

static double stretch_work(const flat_run *r, size_t from, size_t to)
{
    const graph *g = r->f->x->g;
    double most = 0;
    for (int p = param_at(g, from); from < to; p++) {
        const param *w = &g->params[p];
        size_t row = w->rank == 2 ? w->dims[1] : w->count;
        for (size_t end; from < to && from < w->data + w->count; from = end) {
            end = from + row - (from - w->data) % row;
            if (end > to) end = to;
            double least = 0.1 * r->by * sqrt((double)(end - from)),
                   length = sqrt(exec_dot(r->a + from, r->a + from, end - from)),
                   moved = sqrt(exec_dot(r->b + from, r->b + from, end - from));
            double ratio = moved / (length > least ? length : least);
            if (ratio > most || isnan(ratio)) most = ratio;
        }
    }
    return most;
}

double flat_stretch(const flat *f, const real *w, const real *v, double usual)
{
    return all((flat_run){.f = f, .work = stretch_work, .a = w, .b = v, .by = usual}, true);
}

/* y = by (keep y - gradient), keep 0 or 1; what the loss is scaled by in the backward pass goes out
 * again. */
static double gradient_work(const flat_run *r, size_t from, size_t to)
{
    const exec *x = r->f->x;
    double down = 1 / x->grad_scale;
    for (int p = param_at(x->g, from); from < to; p++) {
        const param *w = &x->g->params[p];
        size_t end = w->data + w->count;
        if (end > to) end = to;
        const real *grad = w->grad_buffer == NONE ? NULL : exec_param_grad(x, p);
        for (; from < end; from++) {
            double g = grad ? (double)grad[from - w->data] * down : 0;
            r->y[from] = (real)(r->a ? ((double)r->a[from] - g) * r->by : g);
        }
    }
    return 0;
}

void flat_gradient(const flat *f, real *y)
{
    all((flat_run){.f = f, .work = gradient_work, .y = y}, false);
}

void flat_gradient_less(const flat *f, real *y, double by)
{
    all((flat_run){.f = f, .work = gradient_work, .y = y, .a = y, .by = by}, false);
}

static double displace_work(const flat_run *r, size_t from, size_t to)
{
    real *w = r->f->x->params;
    for (size_t i = from; i < to; i++) w[i] = (real)((double)r->a[i] + r->by * (double)r->b[i]);
    return 0;
}

void flat_displace(const flat *f, const real *w, double step, const real *v)
{
    all((flat_run){.f = f, .work = displace_work, .a = w, .b = v, .by = step}, false);
}

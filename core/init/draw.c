#include "core/init/draw.h"

#include "core/base/rng.h"
#include "core/math/orthogonal.h"

#include <math.h>
#include <string.h>

/* A parameter is drawn in slices: SLICE numbers, or a panel of an orthogonal matrix. */
enum { SLICE = 256 * RNG_BLOCK };

static void fill_normal(real *w, size_t first, size_t n, double std, const rng *r)
{
    double block[RNG_BLOCK];
    for (size_t i = 0; i < n; i += RNG_BLOCK) {
        rng_normal_block(r, (first + i) / RNG_BLOCK, block);
        size_t m = n - i < RNG_BLOCK ? n - i : RNG_BLOCK;
        for (size_t j = 0; j < m; j++) w[i + j] = (real)(std * block[j]);
    }
}

/* Number i beyond the cut is drawn again, from number i of further streams, until it is not: the
 * exact law, and of the same seed the numbers of INIT_NORMAL where those are within the cut. */
static double draw_again(const rng *again, uint64_t i, double cut)
{
    enum { ATTEMPT_BITS = 40 }; /* no parameter has 2^40 entries */
    double z;
    uint64_t attempt = 0;
    do z = rng_normal(again, (attempt++ << ATTEMPT_BITS) + i);
    while (fabs(z) > cut);
    return z;
}

static void fill_truncated(
    real *w, size_t first, size_t n, const init_rule *rule, const rng *r, const rng *again)
{
    double block[RNG_BLOCK];
    for (size_t i = 0; i < n; i += RNG_BLOCK) {
        rng_normal_block(r, (first + i) / RNG_BLOCK, block);
        size_t m = n - i < RNG_BLOCK ? n - i : RNG_BLOCK;
        for (size_t j = 0; j < m; j++) {
            double z = block[j];
            if (fabs(z) > rule->cut) z = draw_again(again, first + i + j, rule->cut);
            w[i + j] = (real)(rule->scale * z);
        }
    }
}

static void fill_uniform(real *w, size_t first, size_t n, double bound, const rng *r)
{
    double block[RNG_BLOCK];
    for (size_t i = 0; i < n; i += RNG_BLOCK) {
        rng_uniform_block(r, (first + i) / RNG_BLOCK, block);
        size_t m = n - i < RNG_BLOCK ? n - i : RNG_BLOCK;
        for (size_t j = 0; j < m; j++) w[i + j] = (real)(bound * (2 * block[j] - 1));
    }
}

/* One panel of columns of Q, which is W, or W transposed where W has more columns than rows. */
static void
fill_orthogonal(real *w, const param *p, int panel, double gain, const rng *r, double *scratch)
{
    size_t out = p->dims[0], in = p->dims[1], m = out > in ? out : in, n = out > in ? in : out;
    size_t first = (size_t)panel * ORTHOGONAL_PANEL;
    size_t width = n - first < ORTHOGONAL_PANEL ? n - first : ORTHOGONAL_PANEL;
    const double *q = scratch;
    orthogonal_panel(scratch, m, first, width, r);
    if (out > in) {
        for (size_t i = 0; i < m; i++)
            for (size_t j = 0; j < width; j++)
                w[i * in + first + j] = (real)(gain * q[i * ORTHOGONAL_PANEL + j]);
    } else {
        for (size_t j = 0; j < width; j++)
            for (size_t i = 0; i < m; i++)
                w[(first + j) * in + i] = (real)(gain * q[i * ORTHOGONAL_PANEL + j]);
    }
}

int init_slices(const param *p, const init_rule *rule)
{
    if (p->rank == 1) return 1;
    size_t least = p->dims[0] < p->dims[1] ? p->dims[0] : p->dims[1];
    if (rule->law == INIT_ORTHOGONAL)
        return (int)((least + ORTHOGONAL_PANEL - 1) / ORTHOGONAL_PANEL);
    return (int)((p->count + SLICE - 1) / SLICE);
}

void init_draw(
    real *w, const param *p, const init_rule *rule, int slice, uint64_t seed, double *scratch)
{
    rng r = rng_stream(seed, "init", p->name);
    size_t first = (size_t)slice * SLICE, n = p->count - first < SLICE ? p->count - first : SLICE;
    switch (rule->law) {
    case INIT_ZERO:
        memset(w + first, 0, n * sizeof *w);
        return;
    case INIT_NORMAL:
        fill_normal(w + first, first, n, rule->scale, &r);
        return;
    case INIT_TRUNCATED: {
        rng again = rng_stream(seed, "init again", p->name);
        fill_truncated(w + first, first, n, rule, &r, &again);
        return;
    }
    case INIT_UNIFORM:
        fill_uniform(w + first, first, n, rule->scale, &r);
        return;
    case INIT_ORTHOGONAL:
        fill_orthogonal(w, p, slice, rule->scale, &r, scratch);
        return;
    }
}

size_t init_draw_doubles(const param *p, const init_rule *rule)
{
    if (rule->law != INIT_ORTHOGONAL) return 0;
    return orthogonal_doubles(p->dims[0] > p->dims[1] ? p->dims[0] : p->dims[1]);
}

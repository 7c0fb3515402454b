#include "server/job/width.h"

#include <math.h>
#include <stdio.h>

static const field_id set[] = {
    FIELD_model_d_model,  FIELD_model_n_heads,     FIELD_model_n_kv_heads,
    FIELD_model_head_dim, FIELD_model_d_ff,        FIELD_init_std,
    FIELD_init_embed_std, FIELD_init_position_std, FIELD_init_head_std};

bool width_sets(field_id id)
{
    for (size_t i = 0; i < sizeof set / sizeof *set; i++)
        if (set[i] == id) return true;
    return false;
}

static int at_least_one(double x)
{
    return x < 1 ? 1 : (int)lround(x);
}

/* d_model in proportion to the heads. */
static int scaled_width(const spec_model *from, int heads)
{
    long product = (long)from->d_model * heads;
    if (product % from->n_heads == 0) return (int)(product / from->n_heads);
    return 2 * at_least_one((double)product / from->n_heads / 2);
}

static void scale_sizes(spec_model *to, const run_spec *whole, double scale)
{
    const spec_model *from = &whole->model;
    if (!(engine_f32.uses(whole) & USES(ATTENTION))) {
        to->d_model = at_least_one(scale * from->d_model);
        to->d_ff = at_least_one(scale * from->d_ff);
        return;
    }
    to->n_kv_heads = at_least_one(scale * from->n_kv_heads);
    to->n_heads = to->n_kv_heads * at_least_one(scale * from->n_heads / to->n_kv_heads);
    to->head_dim = from->head_dim;
    to->d_model = scaled_width(from, to->n_heads);
    to->d_ff = at_least_one((double)from->d_ff * to->d_model / from->d_model);
}

static void scale_init(spec_init *to, const run_spec *whole, double root)
{
    to->std = whole->init.std;
    if (engine_f32.uses(whole) & USES(INIT_STD)) to->std *= root;
    if (!isnan(to->head_std)) to->head_std *= root;
    if (isnan(to->position_std) && isnan(to->embed_std) && engine_f32.uses(whole) & USES(POSITIONS))
        to->position_std = engine_f32.init_table_std(whole, true);
    if (isnan(to->embed_std)) to->embed_std = engine_f32.init_table_std(whole, false);
}

void width_scale(
    run_spec *s, bool given[FIELD_COUNT], width_change *out, const run_spec *whole, double scale)
{
    const spec_model *from = &whole->model;
    bool fits = from->n_heads % from->n_kv_heads == 0 &&
                (given[FIELD_model_head_dim] || from->d_model % from->n_heads == 0);
    if (!fits) return;
    *out = (width_change){.scale = scale, .from = *from, .init_from = whole->init};
    scale_sizes(&s->model, whole, scale);
    scale_init(&s->init, whole, sqrt((double)from->d_model / s->model.d_model));
    out->to = s->model, out->init_to = s->init;
    for (size_t i = 0; i < sizeof set / sizeof *set; i++) given[set[i]] = true;
}

static void pair(char *text, size_t size, const char *name, double from, double to)
{
    if (from == to || (isnan(from) && isnan(to)))
        snprintf(text, size, "%s stays %g", name, to);
    else
        snprintf(text, size, "%s %g becomes %g", name, from, to);
}

void width_note(json_out *o, const width_change *w)
{
    char parts[5][64], text[1024];
    pair(parts[0], sizeof *parts, "d_model", w->from.d_model, w->to.d_model);
    pair(parts[1], sizeof *parts, "n_heads", w->from.n_heads, w->to.n_heads);
    pair(parts[2], sizeof *parts, "n_kv_heads", w->from.n_kv_heads, w->to.n_kv_heads);
    pair(parts[3], sizeof *parts, "d_ff", w->from.d_ff, w->to.d_ff);
    pair(parts[4], sizeof *parts, "init.std", w->init_from.std, w->init_to.std);
    snprintf(
        text, sizeof text,
        "width_scale %g: %s, %s, %s, %s, %s. What theory says of the infinitely wide network "
        "(variance, correlation of tokens, their course over depth) is the same; the spread over "
        "seeds grows as 1/sqrt(d_model), here by %.3g; norms of gradients and weights depend on "
        "the width: compare their course over depth, not their size.",
        w->scale, parts[0], parts[1], parts[2], parts[3], parts[4],
        sqrt((double)w->from.d_model / w->to.d_model));
    json_string(o, text);
}

#include "core/data/data.h"

#include "core/base/arena.h"
#include "core/base/rng.h"
#include "core/loss/loss.h"

const data_source *const data_table[] = {
#define DATA(name) &data_##name,
#include "core/data/data.def"
#undef DATA
};

static const entry *const rows[] = {
#define DATA(name) &data_##name.entry,
#include "core/data/data.def"
#undef DATA
};

const registry data_registry = {"data_sources", "what the network reads", rows,
                                sizeof rows / sizeof *rows};

static size_t sequences(const run_spec *spec)
{
    return (size_t)spec->data.batches * (size_t)spec->data.batch;
}

static size_t seed_count(const run_spec *spec)
{
    return (size_t)spec->data.batch * (size_t)spec->data.seq_len * (size_t)spec->model.d_model;
}

void batches_layout(batches *d, const run_spec *spec, arena *a)
{
    size_t n = sequences(spec), length = (size_t)spec->data.seq_len;
    const loss *l = loss_table[spec->train.loss];
    *d = (batches){.tokens = arena_alloc(a, n * (length + 1) * sizeof *d->tokens)};
    if (spec->model.mask == MASK_BIDIRECTIONAL && l->uses_tokens)
        d->loss_mask = arena_alloc(a, n * length);
    if (data_table[spec->data.source]->gives_inputs)
        d->inputs = arena_alloc(a, n * length * (size_t)spec->model.d_model * sizeof *d->inputs);
    if (!l->uses_tokens) d->grad_seed = arena_alloc(a, seed_count(spec) * sizeof *d->grad_seed);
}

/* At least one position of every batch carries the loss. */
static void fill_mask(batches *d, const run_spec *spec)
{
    rng r = rng_stream(spec->seed, "data", "loss_mask");
    size_t per_batch = (size_t)spec->data.batch * (size_t)spec->data.seq_len;
    for (size_t k = 0; k < (size_t)spec->data.batches; k++) {
        uint8_t *mask = d->loss_mask + k * per_batch, any = 0;
        for (size_t i = 0; i < per_batch; i++) {
            mask[i] = rng_uniform(&r, k * per_batch + i) < spec->data.mask_fraction;
            any |= mask[i];
        }
        if (!any) mask[0] = 1;
    }
}

static void fill_seed(batches *d, const run_spec *spec)
{
    rng r = rng_stream(spec->seed, "data", "grad_seed");
    size_t width = (size_t)spec->model.d_model, per_sequence = (size_t)spec->data.seq_len * width;
    bool same = loss_table[spec->train.loss]->same_rows;
    for (size_t i = 0; i < seed_count(spec); i++)
        d->grad_seed[i] = (real)rng_normal(&r, same ? i / per_sequence * width + i % width : i);
}

void batches_fill(batches *d, const run_spec *spec, const run_input *input)
{
    const data_source *source = data_table[spec->data.source];
    source->tokens(spec, input, d->tokens);
    if (d->inputs) source->inputs(spec, d->inputs);
    if (d->loss_mask) fill_mask(d, spec);
    if (d->grad_seed) fill_seed(d, spec);
}

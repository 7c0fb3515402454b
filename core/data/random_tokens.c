/* Tokens uniform over the vocabulary; the next one is as random: loss starts near ln V. */
#include "core/base/rng.h"
#include "core/data/data.h"

static void tokens(const run_spec *spec, const run_input *input, int32_t *out)
{
    (void)input;
    rng r = rng_stream(spec->seed, "data", "tokens");
    size_t n =
        (size_t)spec->data.batches * (size_t)spec->data.batch * ((size_t)spec->data.seq_len + 1);
    for (size_t i = 0; i < n; i++) out[i] = (int32_t)rng_below(&r, i, (uint32_t)spec->model.vocab);
}

const data_source data_random_tokens = {
    .entry = {.name = "random_tokens",
              .summary = "tokens uniform over the vocabulary",
              .source = "synthetic"},
    .tokens = tokens,
};

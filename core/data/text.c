/* Windows of T+1 bytes at random places of a corpus; a byte folds to byte mod V. */
#include "core/base/rng.h"
#include "core/data/data.h"

static void tokens(const run_spec *spec, const run_input *input, int32_t *out)
{
    rng r = rng_stream(spec->seed, "data", "windows");
    size_t length = (size_t)spec->data.seq_len + 1, starts = input->corpus_bytes - length + 1;
    size_t n = (size_t)spec->data.batches * (size_t)spec->data.batch;
    uint32_t places = starts > UINT32_MAX ? UINT32_MAX : (uint32_t)starts;
    for (size_t s = 0; s < n; s++) {
        size_t start = rng_below(&r, s, places);
        for (size_t t = 0; t < length; t++)
            out[s * length + t] = input->corpus[start + t] % spec->model.vocab;
    }
}

const data_source data_text = {
    .entry = {.name = "text",
              .summary = "windows of a corpus, one token per byte, folded to byte mod vocab",
              .source = "the corpus; its hash is stored with the result"},
    .needs_corpus = true,
    .tokens = tokens,
};

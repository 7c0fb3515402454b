/* x_0 of a chosen variance v and correlation of the tokens of a sequence:
 *   x_t = sqrt(v) (sqrt(rho) c + sqrt(1 - rho) z_t),  c and z_t iid N(0, 1), c common to the sequence.
 * Targets are random tokens. */
#include "core/base/rng.h"
#include "core/data/data.h"

static void inputs(const run_spec *spec, real *out)
{
    rng common = rng_stream(spec->seed, "data", "common"),
        own = rng_stream(spec->seed, "data", "inputs");
    double rho = spec->data.token_corr, root = sqrt(spec->data.variance), a = root * sqrt(rho),
           b = root * sqrt(1 - rho);
    size_t width = (size_t)spec->model.d_model, length = (size_t)spec->data.seq_len;
    size_t n = (size_t)spec->data.batches * (size_t)spec->data.batch * length * width;
    for (size_t i = 0; i < n; i++) {
        uint64_t c = i / (length * width) * width + i % width;
        out[i] = (real)(a * rng_normal(&common, c) + b * rng_normal(&own, i));
    }
}

static void tokens(const run_spec *spec, const run_input *input, int32_t *out)
{
    data_random_tokens.tokens(spec, input, out);
}

const data_source data_gaussian = {
    .entry = {.name = "gaussian",
              .summary = "x_0 = sqrt(v) (sqrt(rho) c + sqrt(1-rho) z_t), c and z_t N(0,1), v = "
                         "data.variance, rho = "
                         "data.token_corr; random targets",
              .source = "synthetic"},
    .gives_inputs = true,
    .tokens = tokens,
    .inputs = inputs,
};

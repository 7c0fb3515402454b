/* Every matrix and table N(0, std^2), std 0.02; with init.depth_scale (its default) W_O and W_2 are
 * divided by sqrt(2 L). */
#include "core/init.h"

static double std(const spec_init *in, const param *p)
{
    (void)p;
    return in->std;
}

const init init_gpt2 = {
    .entry = {.name = "gpt2",
              .summary = "N(0, std^2), std 0.02; W_O and W_2 over sqrt(2L)",
              .source = "Radford et al. 2019"},
    .depth_scale = true,
    .std = std,
};

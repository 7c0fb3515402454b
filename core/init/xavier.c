/* N(0, 2/(fan_in + fan_out)); q, k, v and gate, up each a map of its own. */
#include "core/init.h"

static double std(const spec_init *in, const param *p)
{
    (void)in;
    return sqrt(2.0 / (double)(p->dims[0] + p->dims[1]));
}

const init init_xavier = {
    .entry = {.name = "xavier",
              .summary = "N(0, 2/(fan_in + fan_out))",
              .source = "Glorot & Bengio 2010"},
    .std = std,
};

/* N(0, 1/fan_in); tables have fan_in D. */
#include "core/init.h"

static double std(const spec_init *in, const param *p)
{
    (void)in;
    return sqrt(1.0 / (double)p->dims[1]);
}

const init init_lecun = {
    .entry = {.name = "lecun", .summary = "N(0, 1/fan_in)", .source = "LeCun et al. 1998"},
    .std = std,
};

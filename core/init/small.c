/* Every matrix and table N(0, std^2) with the one std of init.std. */
#include "core/init.h"

static double std(const spec_init *in, const param *p)
{
    (void)p;
    return in->std;
}

const init init_small = {
    .entry = {.name = "small",
              .summary = "N(0, std^2), one constant std for every matrix",
              .source = "constant"},
    .std = std,
};

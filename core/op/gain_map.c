#include "core/op/gain_map.h"

#include <math.h>

static double identity(double p)
{
    return p;
}

static double one(double p)
{
    (void)p;
    return 1;
}

static double sign(double p)
{
    return (p > 0) - (p < 0);
}

static double preserving(double p)
{
    return 1 - p / (1 + exp(-p));
}

static double preserving_slope(double p)
{
    double s = 1 / (1 + exp(-p));
    return -s * (1 + p * (1 - s));
}

const gain_map gain_identity = {.formula = "p", .value = identity, .slope = one};
const gain_map gain_absolute = {.formula = "|p|", .value = fabs, .slope = sign};
const gain_map gain_preserving = {
    .formula = "1 - SiLU(p)", .value = preserving, .slope = preserving_slope, .straight = true};

/* x_0[t][2j] += sin(t / 10000^(2j/D)), x_0[t][2j+1] += cos(t / 10000^(2j/D)). */
#include "core/position/position.h"

static void add_row(real *y, int t, size_t width)
{
    for (size_t j = 0; j < width; j += 2) {
        double angle = t / pow(10000, (double)j / (double)width);
        y[j] += (real)sin(angle);
        if (j + 1 < width) y[j + 1] += (real)cos(angle);
    }
}

const position position_sinusoidal = {
    .entry = {.name = "sinusoidal",
              .summary = "x_0[t] += sin (even columns), cos (odd columns) of t/10000^(2j/D)",
              .source = "arXiv:1706.03762"},
    .add_row = add_row,
};

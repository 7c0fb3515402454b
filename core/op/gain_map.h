/* What a learned gain p multiplies by: f(p), with its slope (op gain). */
#ifndef CORE_OP_GAIN_MAP_H
#define CORE_OP_GAIN_MAP_H

#include <stdbool.h>

typedef struct gain_map {
    const char *formula; /* "1 - SiLU(p)" */
    double (*value)(double p);
    double (*slope)(double p);
    bool straight; /* the input's gradient is the output's, unscaled; declared, not exact */
} gain_map;

extern const gain_map gain_identity; /* p */
extern const gain_map gain_absolute; /* |p|, nGPT's step sizes; slope 0 at 0 */
/* 1 - SiLU(p), straight: GPAS, arXiv:2506.22049. The gradient of p is exact. */
extern const gain_map gain_preserving;

#endif

/* Number formats that a run can be rounded to (core/graph/rounding.h) and headroom is measured against.
 * One row of format.def each; before them "none", after them "int8". Sources: IEEE 754-2008;
 * bfloat16; OCP 8-bit Floating Point Specification, arXiv:2209.05433.
 */
#ifndef CORE_BASE_FORMAT_H
#define CORE_BASE_FORMAT_H

#include "core/base/registry.h"

typedef enum format {
    FORMAT_none,
#define FORMAT(name, mantissa, e_min, max_finite, saturates, summary) FORMAT_##name,
#include "core/base/format.def"
#undef FORMAT
    FORMAT_int8,
    FORMAT_COUNT
} format;

typedef struct float_format {
    const char *name;
    int mantissa, e_min;
    double max_finite;
    bool saturates;
} float_format;

/* The row of format.def, by enum format; mantissa is 0 for none and int8, which have no row. */
extern const float_format format_table[FORMAT_COUNT];
extern const registry format_registry;

#endif

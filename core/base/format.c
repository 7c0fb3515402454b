#include "core/base/format.h"

const float_format format_table[FORMAT_COUNT] = {
    [FORMAT_none] = {.name = "none"},
#define FORMAT(n, m, e, max, sat, text)                                                            \
    [FORMAT_##n] = {.name = #n, .mantissa = m, .e_min = e, .max_finite = max, .saturates = sat},
#include "core/base/format.def"
#undef FORMAT
    [FORMAT_int8] = {.name = "int8"},
};

static const entry *const rows[FORMAT_COUNT] = {
    [FORMAT_none] = &(const entry){.name = "none", .summary = "not rounded: the run's precision"},
#define FORMAT(n, m, e, max, sat, text)                                                            \
    [FORMAT_##n] = &(const entry){.name = #n, .summary = text, .source = "arXiv:2209.05433"},
#include "core/base/format.def"
#undef FORMAT
    [FORMAT_int8] =
        &(const entry){.name = "int8",
                       .summary = "integers -127 to 127 times a scale, max|x|/127 of the tensor or "
                                  "row (rounding.scale)",
                       .source = "arXiv:1712.05877"},
};

const registry format_registry = {"formats", "number formats that a run can be rounded to", rows,
                                  FORMAT_COUNT};

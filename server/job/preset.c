#include "server/job/preset.h"

/* The job part is read twice by the preprocessor: commas inside it make it variadic. */
#define PRESET(n, text, src, ...)                                                                  \
    static const entry preset_##n = {.name = #n, .summary = text, .source = src};
#include "server/job/preset.def"
#undef PRESET

enum {
#define PRESET(n, text, src, ...) ROW_##n,
#include "server/job/preset.def"
#undef PRESET
    N_ROWS
};

static const entry *const rows[N_ROWS] = {
#define PRESET(n, text, src, ...) &preset_##n,
#include "server/job/preset.def"
#undef PRESET
};

static const char *const texts[] = {
#define PRESET(n, text, src, ...) #__VA_ARGS__,
#include "server/job/preset.def"
#undef PRESET
};

const registry preset_registry = {"presets", "models with their usual surroundings", rows, N_ROWS};

const char *preset_text(int row)
{
    return texts[row];
}

#include "server/job/strategy.h"

#include <stddef.h>

/* The job part is read twice by the preprocessor: commas inside it make it variadic. */
#define STRATEGY(n, equation, src, init_, behaviour_, limits_, ...)                                \
    static const strategy strategy_##n = {                                                         \
        .entry = {.name = #n, .summary = equation, .source = src},                                 \
        .init = init_,                                                                             \
        .behaviour = behaviour_,                                                                   \
        .limits = limits_,                                                                         \
        .job = #__VA_ARGS__};
#define KNOWN(n, equation, src, why)                                                               \
    static const strategy strategy_##n = {                                                         \
        .entry = {.name = #n, .summary = equation, .source = src},                                 \
        .init = "",                                                                                \
        .behaviour = "",                                                                           \
        .limits = "",                                                                              \
        .refused = why,                                                                            \
        .job = "{}"};
#include "server/job/strategy.def"
#undef STRATEGY
#undef KNOWN

#define KNOWN(n, equation, src, why) &strategy_##n,
#define STRATEGY(n, equation, src, init_, behaviour_, limits_, ...) &strategy_##n,
const strategy *const strategy_table[] = {
#include "server/job/strategy.def"
};
#undef STRATEGY
#undef KNOWN

#define KNOWN(n, equation, src, why) &strategy_##n.entry,
#define STRATEGY(n, equation, src, init_, behaviour_, limits_, ...) &strategy_##n.entry,
static const entry *const rows[] = {
#include "server/job/strategy.def"
};
#undef STRATEGY
#undef KNOWN

const registry strategy_registry = {"strategies", "normalization strategies by name", rows,
                                    sizeof rows / sizeof *rows};

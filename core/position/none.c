/* No positions: a causal mask is then all that tells tokens apart by place. */
#include "core/position/position.h"

const position position_none = {
    .entry = {.name = "none", .summary = "no positions", .source = "identity"},
};

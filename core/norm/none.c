/* No normalization: y = x. The builder leaves the node out. */
#include "core/norm/norm.h"

const norm norm_none = {
    .entry = {.name = "none", .summary = "y = x", .source = "identity"},
    .is_identity = true,
};

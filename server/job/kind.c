#include "server/job/kind.h"

const field_kind *const kind_table[FIELD_TYPES] = {
#define KIND(name) [FIELD_##name] = &kind_##name,
#include "server/job/kind.def"
#undef KIND
};

#include "core/model/model.h"

const model *const model_table[] = {
#define MODEL(name) &model_##name,
#include "core/model/model.def"
#undef MODEL
};

static const entry *const rows[] = {
#define MODEL(name) &model_##name.entry,
#include "core/model/model.def"
#undef MODEL
};

const registry model_registry = {"models", "families of networks", rows,
                                 sizeof rows / sizeof *rows};

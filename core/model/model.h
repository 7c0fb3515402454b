/* Model families: one file each under core/model/, one row in model.def. */
#ifndef CORE_MODEL_MODEL_H
#define CORE_MODEL_MODEL_H

#include "core/graph/graph.h"

typedef struct model {
    entry entry;
    bool has_theory; /* core/theory follows its sublayers; else: REASON_NO_LAW_FAMILY */
    use_set uses;    /* bit per enum use: what every network of it has */
    void (*defaults)(run_spec *spec); /* of fields that have others in this family; or NULL */
    err_code (*check)(const run_spec *spec, error *err);
    void (*build)(graph *g); /* the whole graph, loss included */
} model;

#define MODEL(name) extern const model model_##name;
#include "core/model/model.def"
#undef MODEL

extern const model *const model_table[];
extern const registry model_registry;

#endif

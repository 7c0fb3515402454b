/* What a field can choose from, by kind of registry: those of the engine, and of choices that belong
 * to no part of it (masks, decays, precisions, …). */
#ifndef SERVER_JOB_CHOICE_H
#define SERVER_JOB_CHOICE_H

#include "core/engine.h"

/* NULL: none such. */
const registry *choice_registry(const char *kind);
/* Registry number i, engine's first; NULL after the last. */
const registry *choice_registry_at(int i);

#endif

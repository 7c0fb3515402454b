/* Losses: one file each under core/loss/, one row in loss.def. */
#ifndef CORE_LOSS_LOSS_H
#define CORE_LOSS_LOSS_H

#include "core/base/registry.h"

#include <stdbool.h>

typedef struct loss {
    entry entry;
    bool uses_tokens; /* cross entropy: targets, and a head with vocabulary logits */
    bool same_rows;   /* synthetic seeds: one row repeated for all tokens of a sequence */
} loss;

#define LOSS(name) extern const loss loss_##name;
#include "core/loss/loss.def"
#undef LOSS

extern const loss *const loss_table[];
extern const registry loss_registry;

#endif

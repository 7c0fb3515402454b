/* Learning-rate schedules after the warm-up: one file each, one row in schedule.def. */
#ifndef CORE_SCHEDULE_SCHEDULE_H
#define CORE_SCHEDULE_SCHEDULE_H

#include "core/base/registry.h"
#include "core/spec.h"

typedef struct schedule {
    entry entry;
    use_set uses; /* bit per enum use: the fields of train that it reads */
    double (*factor)(const spec_train *t, double position); /* position 0..1 after the warm-up */
} schedule;

#define SCHEDULE(name) extern const schedule schedule_##name;
#include "core/schedule/schedule.def"
#undef SCHEDULE

extern const schedule *const schedule_table[];
extern const registry schedule_registry;

/* Rate of update k = 1..steps: lr k/warmup while k <= warmup, then lr
 * factor((k-warmup)/(steps-warmup)). */
double schedule_rate(const spec_train *t, int k);

#endif

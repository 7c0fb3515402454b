#include "core/schedule/schedule.h"

const schedule *const schedule_table[] = {
#define SCHEDULE(name) &schedule_##name,
#include "core/schedule/schedule.def"
#undef SCHEDULE
};

static const entry *const rows[] = {
#define SCHEDULE(name) &schedule_##name.entry,
#include "core/schedule/schedule.def"
#undef SCHEDULE
};

const registry schedule_registry = {"schedules", "learning rate after the warm-up", rows,
                                    sizeof rows / sizeof *rows};

double schedule_rate(const spec_train *t, int k)
{
    if (k <= t->warmup) return t->lr * k / t->warmup;
    double position = (double)(k - t->warmup) / (t->steps - t->warmup);
    return t->lr * schedule_table[t->schedule]->factor(t, position);
}

/* min + (1 - min)(1 + cos(pi p))/2, min = train.min_lr as a share of lr. */
#include "core/schedule/schedule.h"

#include <math.h>

static double factor(const spec_train *t, double position)
{
    return t->min_lr + (1 - t->min_lr) * 0.5 * (1 + cos(3.14159265358979323846 * position));
}

const schedule schedule_cosine = {
    .entry = {.name = "cosine",
              .summary = "lr (min + (1 - min)(1 + cos(pi p))/2), p from 0 to 1",
              .source = "arXiv:1608.03983"},
    .uses = USES(LAST_RATE),
    .factor = factor,
};

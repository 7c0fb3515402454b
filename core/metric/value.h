/* A measured number or the reason why there is none.
 *
 * The finish functions of core/metric fill an array of METRIC_COUNT values indexed by metric, each
 * its own group and nothing else. reason is REASON_NONE exactly when value is finite; an undefined
 * value is stored as 0 with its reason. Any thread.
 */
#ifndef CORE_METRIC_VALUE_H
#define CORE_METRIC_VALUE_H

#include "core/base/catalog.h"

typedef struct metric_value {
    double value;
    reason reason;
} metric_value;

static inline metric_value value_of(double number)
{
    return (metric_value){number, reason_of(number)};
}

static inline metric_value value_undefined(reason why)
{
    return (metric_value){0.0, why};
}

#endif

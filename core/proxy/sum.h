/* Hidden covariance of one layer: by sequence or by feature (kernel.h). */
#ifndef CORE_PROXY_SUM_H
#define CORE_PROXY_SUM_H

#include "core/metric/value.h"

typedef struct proxy_covariance {
    metric_value score, nulls;
    double rows;
} proxy_covariance;

#endif

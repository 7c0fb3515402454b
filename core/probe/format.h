/* Where the stream leaves the number formats: the metrics of core/base/format.def's rows that belong
 * to a group, of which fit has the oldest. */
#ifndef CORE_PROBE_FORMAT_H
#define CORE_PROBE_FORMAT_H

#include "core/probe/gauge.h"

void probe_format_run(metric_group group, const gauge_run *r, gauge_emit *emit, void *user);

#endif

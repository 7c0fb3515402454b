/* Whole tensors of a run, handed to the sink that asked for them. */
#ifndef CORE_RUN_TENSORS_H
#define CORE_RUN_TENSORS_H

#include "core/run/session.h"

/* All parameters and data arrays; false when the callback refused. */
bool report_tensors(session *s, enum tensor_when when, int step, const sink *to);
/* Site values, their gradients and the parameters' gradients of the last pass. */
bool report_probe_tensors(session *s, int step, const sink *to);

#endif

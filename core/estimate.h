/* What a run costs, from its graph and plan alone: the sessions of the run and of its proxies are
 * planned and counted, none is filled.
 */
#ifndef CORE_ESTIMATE_H
#define CORE_ESTIMATE_H

#include "core/base/error.h"
#include "core/result.h"
#include "core/spec.h"

/* As estimate of the engine's table, of a spec that is checked. */
err_code
estimate_run(const run_spec *spec, int n_threads, bool want_tensors, estimate *out, error *err);

#endif

/* The coordinate check inside a probe: the values of step 0 are kept, later ones compared. */
#ifndef CORE_PROBE_COORDINATE_H
#define CORE_PROBE_COORDINATE_H

#include "core/base/error.h"
#include "core/spec.h"

/* ERR_COMBINATION when the spec asks for it and its updates are compared with nothing: the batch
 * must be the same, and step 0 measured. */
err_code probe_coordinate_check(const run_spec *spec, error *err);

#endif

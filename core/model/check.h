/* Do the choices of a spec make sense together, and which fields mean something in its network? */
#ifndef CORE_MODEL_CHECK_H
#define CORE_MODEL_CHECK_H

#include "core/base/error.h"
#include "core/spec.h"

/* What the network of this spec has that fields may need; bit per enum use. */
use_set strategy_uses(const run_spec *spec);

/* Overrides, norms and lists against the depth and the widths. ERR_COMBINATION with the pointer. */
err_code strategy_check(const run_spec *spec, error *err);

/* Blocks without a mixer or MLP, against what needs them. ERR_COMBINATION with the pointer. */
err_code sublayers_check(const run_spec *spec, error *err);

/* ERR_COMBINATION where the strategy sets the lengths of weights itself. */
err_code parametrization_check(const run_spec *spec, error *err);

#endif

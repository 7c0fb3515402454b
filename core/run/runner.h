/* The loop over the steps of a run: its passes, updates and measurements, what its sink is told, and
 * where it diverged.
 */
#ifndef CORE_RUN_RUNNER_H
#define CORE_RUN_RUNNER_H

#include "core/run/session.h"

/* s is filled, summary is that of a run that has not begun. passes_made: passes of its proxies, for
 * progress. Errors: ERR_CANCELLED, ERR_IO. */
err_code
runner_run(session *s, double passes_made, const sink *to, run_summary *summary, error *err);

#endif

/* From a merged draft to a complete run: defaults, and those that depend on other fields. */
#ifndef SERVER_JOB_RESOLVE_H
#define SERVER_JOB_RESOLVE_H

#include "server/job/draft.h"
#include "server/job/width.h"

/* Fills every field of *out (its seed is 0), and in *width what model.width_scale changed. Errors:
 * ERR_MISSING_FIELD for a text source without a corpus, ERR_COMBINATION for a probe after the last
 * update, with absolute pointers. */
err_code resolve_run(run_spec *out, const draft *d, width_change *width, error *err);

/* What the fields are in this family when nothing is given. */
err_code resolve_defaults(run_spec *out, int family, error *err);

/* Given fields and fixed defaults only: no rules, no checks. Fields with a rule that were not given
 * are zero. */
err_code resolve_fixed(run_spec *out, const draft *d, error *err);

/* Does this source read a corpus? */
bool resolve_needs_corpus(const run_spec *spec);

#endif

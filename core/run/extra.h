/* Measurements that need passes of their own: one file each under core/extra/, one row in
 * extra.def.
 *
 * An extra is for one group of metrics and takes part when the job asks for any of them. At each
 * probed step its passes are made before the one that is measured, on the same batch and weights,
 * in the same buffers; what it finds stays in the session and is reported with that step. It leaves
 * no trace: parameters that it moves are put back from a copy, running state is left as it was
 * (only exec_commit makes it count), so no bit of the run depends on it. Its results do not depend
 * on the number of threads.
 *
 * While an extra is wanted the plan keeps every value to the end of a pass (plan_options.
 * keep_values), so that parts of a pass can be made again.
 */
#ifndef CORE_RUN_EXTRA_H
#define CORE_RUN_EXTRA_H

#include "core/graph/pass.h"
#include "core/metric/value.h"

struct session;

typedef struct extra_pass {
    int step;
    exec_progress *progress; /* handed on to the passes; stage numbers are those of the plan */
    void *user;
} extra_pass;

/* layer -1: the run as a whole. */
typedef void extra_emit(void *user, int layer, site where, metric m, metric_value v);

typedef struct extra {
    metric_group group;
    use_set uses;     /* what fields of measure its metrics make the job have */
    bool param_grads; /* gradients of parameters must live to the end of a pass */
    /* What it costs at one step, in passes (forward and backward together, values and parameters).
     */
    double (*passes)(const struct session *s);
    /* Its memory, from a counting or real arena; returns its state, NULL while counting. */
    void *(*layout)(const struct session *s, int n_threads, arena *a);
    /* ERR_CANCELLED when progress said so. */
    err_code (*run)(struct session *s, void *state, const extra_pass *how);
    void (*report)(const struct session *s, const void *state, extra_emit *emit, void *user);
} extra;

enum {
#define EXTRA(name) EXTRA_##name,
#include "core/run/extra.def"
#undef EXTRA
    EXTRA_COUNT
};

typedef struct extras {
    void *states[EXTRA_COUNT];
    int step; /* the step that the states are about; -1: none */
} extras;

extern const extra *const extra_table[EXTRA_COUNT];

bool extra_wanted(const run_spec *spec, const extra *e);
/* Does the job ask for extras at all, and what must the plan keep for them? */
bool extra_any(const run_spec *spec);
bool extra_param_grads(const run_spec *spec);
/* What the job has that fields of measure may need: bit per enum use. */
use_set extra_uses(const run_spec *spec);

/* With a session (extra_pass.c). */
double extra_passes(const struct session *s); /* of one probed step, of all that are wanted */
uint64_t extra_rows(const run_spec *spec);    /* of one step, at most */
void extra_layout(struct session *s, int n_threads, arena *a);
err_code extra_run(struct session *s, const extra_pass *how);
/* Of the step that extra_run was last called for. */
void extra_report(const struct session *s, extra_emit *emit, void *user);

/* The share of a pass that one stage is, for progress: a forward pass is a third, gradients of
 * values another. */
double extra_stage_share(const exec *x, int at);

#endif

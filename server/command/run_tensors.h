/* Tensors in and out of a run: --weights, --save-weights, --dump.
 *
 * Names in a weights file are those of the engine ("blocks.0.attn.q.weight", "embed.weight", …). A
 * file must have every parameter, but for those that a profiling pass finds (core/run/profile.h), and
 * may have data tensors ("data.tokens") and running state ("state.…"); anything else it has is
 * refused when the run begins to compute. A dump has, beside the initial values under their names,
 * site values and gradients as "probe.<step>.act.…", "probe.<step>.grad.…" and, after training, the
 * parameters as "final.…".
 */
#ifndef SERVER_COMMAND_RUN_TENSORS_H
#define SERVER_COMMAND_RUN_TENSORS_H

#include "server/command/safetensors.h"

typedef struct run_tensors {
    safetensors weights;
    size_t used; /* entries of weights that the run has taken */
    safetensors_writer save, dump;
    bool has_weights, has_save, has_dump;
    bool asked; /* the run has shown its initial tensors */
    error why;  /* after a callback returned false */
} run_tensors;

/* Paths may be NULL. The caller calls run_tensors_close also after an error. */
err_code run_tensors_open(
    run_tensors *t, const char *weights, const char *save, const char *dump, error *err);
bool run_tensors_tensor(run_tensors *t, enum tensor_when when, int step, const tensor_view *v);
/* Everything in the file was used, or the run has not asked for it yet (a profiling pass may come
 * before): asked with each progress. */
bool run_tensors_check(run_tensors *t);
/* Makes the files appear. */
err_code run_tensors_commit(run_tensors *t, const run_spec *spec, error *err);
void run_tensors_close(run_tensors *t);

#endif

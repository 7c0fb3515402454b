/* The engine: a run_spec in, measurements out. This is all that server/ sees of core/.
 *
 * The engine is compiled twice, for float and for double; each build exports one table. Nothing
 * here touches files, JSON, SQL or a clock, and nothing a run_spec can contain makes it crash or
 * exit: what is too large is refused by estimate, NaN and Inf are results.
 */
#ifndef CORE_ENGINE_H
#define CORE_ENGINE_H

#include "core/base/error.h"
#include "core/base/team.h"
#include "core/network/outline.h"
#include "core/result.h"

typedef struct engine {
    const char *precision;             /* "float32", "float64" */
    const registry *const *registries; /* NULL-terminated: norms, placements, … , sites, metrics */

    /* Do the choices make sense together? ERR_COMBINATION or ERR_RANGE with the pointer of the
     * job's field ("/model/n_heads"). */
    err_code (*check)(const run_spec *spec, error *err);

    /* check first. n_threads: 1..TEAM_MAX (the memory differs a little; the results do not). */
    err_code (*estimate)(
        const run_spec *spec, int n_threads, bool want_probe_tensors, estimate *out, error *err);

    /* memory: peak_bytes of estimate, aligned to 64. The caller frees it. Errors: those of check,
     * ERR_CANCELLED, ERR_IO, ERR_MEMORY. */
    err_code (*run)(const run_spec *spec,
                    const run_input *input,
                    void *memory,
                    size_t memory_bytes,
                    team *team,
                    const sink *sink,
                    run_summary *summary,
                    error *err);

    /* Predictions of a run that is not made: to->predict gets those that spec.measure wants,
     * whatever measure.theory and measure.steps say, with expectations in place of the data. No
     * graph is built: width costs nothing, a block some 50 to 100 us. Errors: those of check,
     * ERR_MEMORY. */
    err_code (*predict)(const run_spec *spec, const sink *to, error *err);

    /* Defaults that depend on another choice. */
    void (*family_defaults)(run_spec *spec); /* of the fields that have others in spec's family */
    bool (*placement_final_norm)(int placement);
    bool (*init_depth_scale)(int scheme);
    double (*init_std)(const run_spec *spec); /* scheme, depth and width are set */
    double (*init_table_std)(const run_spec *spec, bool positions); /* embed_std, position_std */
    bool (*activation_gated)(int activation);
    int (*norm_warmup)(int norm); /* strategy.stat_warmup */
    int (*head_norm)(int norm);   /* model.qk_norm_type for strategy.norm */

    /* What the network of this spec has that fields may need: bit per enum use. The registry rows
     * of the spec must be valid; nothing else is asked of it. */
    use_set (*uses)(const run_spec *spec);

    /* Shows visit every node of the graph, in the order of the forward pass. Errors: those of
     * check, ERR_MEMORY. */
    err_code (*outline)(const run_spec *spec, outline_visit *visit, void *user, error *err);
} engine;

extern const engine engine_f32, engine_f64;

static inline const engine *engine_for(int precision) /* enum spec_precision */
{
    return precision == PRECISION_FLOAT64 ? &engine_f64 : &engine_f32;
}

#endif

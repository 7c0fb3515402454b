#include "server/job/cost.h"

#include "server/job/field.h"

#include <nettle/sha2.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct cost_slot {
    uint8_t digest[16];
    bool used;
    estimate cost;
} cost_slot;

err_code cost_memo_init(cost_memo *m, const limits *lim, int n_arms, error *err)
{
    *m = (cost_memo){.lim = lim, .n_slots = 4};
    while (m->n_slots < 2 * (size_t)n_arms) m->n_slots *= 2;
    m->slots = calloc(m->n_slots, sizeof *m->slots);
    return m->slots
               ? ERR_OK
               : error_set(err, ERR_MEMORY, "", "not enough memory for %d combinations", n_arms);
}

void cost_memo_deinit(cost_memo *m)
{
    free(m->slots);
    *m = (cost_memo){0};
}

/* A strong digest: nobody can make many specs fall on one slot, or two be taken for one. */
static cost_slot *find_slot(const cost_memo *m, const run_spec *spec)
{
    run_spec key = *spec, none;
    struct sha256_ctx context;
    uint8_t digest[16];
    uint64_t at;
    memset(&none, 0, sizeof none);
    for (int i = 0; i < FIELD_COUNT; i++)
        if (field_table[i].free) field_copy(&key, &none, &field_table[i]);
    sha256_init(&context);
    sha256_update(&context, sizeof key, (const uint8_t *)&key);
    sha256_digest(&context, sizeof digest, digest);
    memcpy(&at, digest, sizeof at);
    for (;; at++) {
        cost_slot *slot = &m->slots[at & (m->n_slots - 1)];
        if (slot->used && memcmp(slot->digest, digest, sizeof digest) != 0) continue;
        memcpy(slot->digest, digest, sizeof digest);
        return slot;
    }
}

static err_code estimate_run(cost_memo *m, job_run *run, error *err)
{
    const engine *e = engine_for(run->spec.precision);
    int threads = m->lim->threads > 0 ? m->lim->threads : 1;
    cost_slot *slot = find_slot(m, &run->spec);
    if (!slot->used) {
        m->blocks += run->spec.depth;
        if (m->lim->blocks > 0 && m->blocks > m->lim->blocks)
            return error_set(
                err, ERR_LIMIT, "/depth",
                "the combinations have more than %.0f blocks together, the limit; split the job",
                m->lim->blocks);
        if (m->lim->theory_only) return ERR_OK;
        err_code code = e->estimate(&run->spec, threads, false, &slot->cost, err);
        if (code) return code;
        slot->used = true;
    }
    run->cost = slot->cost;
    return ERR_OK;
}

static void bytes_text(char out[32], double bytes)
{
    static const char *const units[] = {"bytes", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB"};
    int unit = 0;
    while (bytes >= 1024 && unit < 6) bytes /= 1024, unit++;
    snprintf(out, 32, "%.4g %s", bytes, units[unit]);
}

err_code cost_run(cost_memo *m, job *j, int index, error *err)
{
    job_run *run = &j->runs[index];
    const engine *e = engine_for(run->spec.precision);
    if (run->spec.depth > m->lim->depth)
        return error_set(err, ERR_LIMIT, "/depth", "depth is %d; the limit is %d", run->spec.depth,
                         m->lim->depth);
    err_code code = e->check(&run->spec, err);
    if (!code) code = estimate_run(m, run, err);
    if (code || run->cost.peak_bytes <= m->lim->peak_bytes) return code;
    char needed[32], limit[32];
    bytes_text(needed, (double)run->cost.peak_bytes);
    bytes_text(limit, (double)m->lim->peak_bytes);
    return error_set(err, ERR_LIMIT, "",
                     "a run with %llu parameters needs %s of memory; the limit is %s",
                     (unsigned long long)run->cost.parameters, needed, limit);
}

err_code cost_check_job(const job *j, const limits *lim, error *err)
{
    double flops = 0;
    for (int i = 0; i < j->n_runs; i++) flops += j->runs[i].cost.flops;
    if (flops <= lim->flops) return ERR_OK;
    return error_set(err, ERR_LIMIT, "",
                     "the job's %d runs need %.3g floating-point operations; the limit is %.3g",
                     j->n_runs, flops, lim->flops);
}

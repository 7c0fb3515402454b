#include "core/run/profile.h"

#include "core/op/op.h"

#include <string.h>

static uint64_t digest(uint64_t h, const void *data, size_t bytes)
{
    const unsigned char *at = data;
    for (; bytes >= sizeof h; bytes -= sizeof h, at += sizeof h) {
        uint64_t word;
        memcpy(&word, at, sizeof word);
        h = (h ^ word) * 0x9E3779B97F4A7C15u;
        h ^= h >> 29;
    }
    for (size_t i = 0; i < bytes; i++) h = (h ^ at[i]) * 0x9E3779B97F4A7C15u;
    return h ^ h >> 32;
}

static uint64_t digest_param(const exec *x, int p)
{
    return digest((uint64_t)p + 1, exec_weight(x, p), x->g->params[p].count * sizeof(real));
}

/* Sums of digests, so that what the pass sets can be taken out of the rest. */
profile_mark profile_mark_of(const exec *x)
{
    const graph *g = x->g;
    profile_mark m = {0};
    for (int p = 0; p < g->n_params; p++) m.weights += digest_param(x, p);
    for (int i = 0; i < g->n_nodes; i++) {
        const node *n = &g->nodes[i];
        if (!n->profiled) continue;
        for (int k = 0; n->op->profiles_params && k < n->n_params; k++) {
            uint64_t h = digest_param(x, n->params[k]);
            m.weights -= h;
            m.profiled += h;
        }
        m.profiled += digest((uint64_t)i, exec_state(x, n), n->state_count * sizeof(double));
    }
    return m;
}

bool profile_is_stale(const exec *x, profile_mark before)
{
    profile_mark now = profile_mark_of(x);
    return now.weights != before.weights && now.profiled == before.profiled;
}

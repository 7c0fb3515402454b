/* What the extras do with a session: their memory, their passes, their rows. extra.c has what follows
 * from the spec alone.
 */
#include "core/run/session.h"

double extra_passes(const session *s)
{
    double sum = 0;
    for (int i = 0; i < EXTRA_COUNT; i++)
        if (extra_wanted(s->spec, extra_table[i])) sum += extra_table[i]->passes(s);
    return sum;
}

void extra_layout(session *s, int n_threads, arena *a)
{
    s->extras = (extras){.step = -1};
    for (int i = 0; i < EXTRA_COUNT; i++)
        if (extra_wanted(s->spec, extra_table[i]))
            s->extras.states[i] = extra_table[i]->layout(s, n_threads, a);
}

err_code extra_run(session *s, const extra_pass *how)
{
    err_code code = ERR_OK;
    const watch *kept = s->x.watch;
    s->x.watch = NULL;
    s->extras.step = -1;
    for (int i = 0; i < EXTRA_COUNT && !code; i++)
        if (s->extras.states[i]) code = extra_table[i]->run(s, s->extras.states[i], how);
    if (!code) s->extras.step = how->step;
    s->x.skip_params = false;
    s->x.watch = kept;
    return code;
}

void extra_report(const session *s, extra_emit *emit, void *user)
{
    for (int i = 0; i < EXTRA_COUNT; i++)
        if (s->extras.states[i]) extra_table[i]->report(s, s->extras.states[i], emit, user);
}

double extra_stage_share(const exec *x, int at)
{
    const plan *p = x->p;
    if (at < p->n_forward) return 1.0 / (3.0 * p->n_forward);
    return (x->skip_params ? 1 : 2) / (3.0 * (p->n_stages - p->n_forward));
}

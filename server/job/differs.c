#include "server/job/differs.h"

#include "server/job/field.h"

#include <string.h>

static bool has_use(const job_run *r, const field *f)
{
    return field_means(f, engine_f32.uses(&r->spec));
}

/* Is the run another than the first by this field? */
static bool is_other(const job *j, int run, int id)
{
    const field *f = &field_table[id];
    const job_run *a = &j->runs[0], *b = &j->runs[run];
    if (strcmp(b->arm, j->runs[run - 1].arm) == 0 || field_equal(&a->spec, &b->spec, f))
        return false;
    return !j->beside[id] || (has_use(a, f) && has_use(b, f));
}

void job_differs(json_out *o, const job *j)
{
    json_begin_array(o);
    for (int id = 0; id < FIELD_COUNT; id++) {
        const field *f = &field_table[id];
        bool differs = false;
        for (int i = 1; i < j->n_runs && f->size && !differs; i++) differs = is_other(j, i, id);
        if (!differs) continue;
        char pointer[FIELD_POINTER];
        field_pointer(pointer, f);
        json_string(o, pointer);
    }
    json_end(o);
}

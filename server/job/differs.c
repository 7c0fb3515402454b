#include "server/job/differs.h"

#include "server/job/field.h"

#include <stdio.h>
#include <string.h>

void job_differs(json_out *o, const job *j)
{
    json_begin_array(o);
    for (int id = 0; id < FIELD_COUNT; id++) {
        const field *f = &field_table[id];
        bool differs = false;
        for (int i = 1; i < j->n_runs && f->size && !differs; i++)
            differs = strcmp(j->runs[i].arm, j->runs[i - 1].arm) != 0 &&
                      !field_equal(&j->runs[0].spec, &j->runs[i].spec, f);
        if (!differs) continue;
        char pointer[FIELD_PATH + 2];
        snprintf(pointer, sizeof pointer, *f->group ? "/%s/%s" : "%s/%s", f->group, f->name);
        json_string(o, pointer);
    }
    json_end(o);
}

#include "core/base/registry.h"

#include <string.h>

int registry_find(const registry *r, const char *name)
{
    for (int i = 0; i < r->n; i++)
        if (strcmp(r->rows[i]->name, name) == 0) return i;
    return -1;
}

static int edit_distance(const char *a, const char *b)
{
    enum { MAX = 48 };
    int row[MAX + 1];
    size_t na = strlen(a), nb = strlen(b);
    if (na > MAX || nb > MAX) return MAX;
    for (size_t j = 0; j <= nb; j++) row[j] = (int)j;
    for (size_t i = 1; i <= na; i++) {
        int diagonal = row[0];
        row[0] = (int)i;
        for (size_t j = 1; j <= nb; j++) {
            int best = diagonal + (a[i - 1] != b[j - 1]);
            diagonal = row[j];
            if (row[j] + 1 < best) best = row[j] + 1;
            if (row[j - 1] + 1 < best) best = row[j - 1] + 1;
            row[j] = best;
        }
    }
    return row[nb];
}

int registry_nearest(const registry *r, const char *name)
{
    int best = -1, best_distance = (int)strlen(name) / 2 + 1;
    for (int i = 0; i < r->n; i++) {
        int distance = edit_distance(name, r->rows[i]->name);
        if (distance < best_distance) best_distance = distance, best = i;
    }
    return best;
}

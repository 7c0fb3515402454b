/* Registries: the named things a job can choose from. A thing is one row in a .def file and, where
 * it computes, one file. Everything that lists or checks names reads these tables: the job reader,
 * the JSON Schema, `normscope describe`, the HTTP registries and the dashboard's form.
 */
#ifndef CORE_BASE_REGISTRY_H
#define CORE_BASE_REGISTRY_H

#include <stdbool.h>

typedef struct entry {
    const char *name;        /* the field's standard term, snake_case */
    const char *summary;     /* one sentence; formula where there is one */
    const char *source;      /* paper with arXiv id, or where the definition comes from */
    const char *approximate; /* NULL, or how the backward pass departs from the derivative */
    /* Metrics only, else NULL. */
    const char *group;     /* moments, gradient, geometry, spectrum, attention, format, .. */
    const char *unit;      /* "1" where it has none */
    const char *direction; /* "higher", "lower", "near_1", "near_0", "none" */
    const char *scale;     /* "log" or "linear": the axis a chart should use */
    bool is_default;       /* metrics and sites: measured when the job does not say */
    /* Laws only, else NULL. */
    const char *predicts; /* names of metrics, with spaces between */
    const char *validity; /* where it holds */
} entry;

typedef struct registry {
    const char *kind;    /* plural: "norms" */
    const char *summary; /* one sentence */
    const entry *const *rows;
    int n;
} registry;

int registry_find(const registry *r, const char *name); /* row index, or -1 */

/* The row whose name is nearest to name by edit distance, or -1 when none is near: for
 * suggestions in messages, never taken silently. */
int registry_nearest(const registry *r, const char *name);

#endif

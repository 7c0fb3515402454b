/* The gallery (server/catalogue/gallery.def): whole jobs with the outcome that is expected of each, as data
 * that code checks. `normscope run gallery:NAME` runs one, the dashboard shows them as cards, and
 * the tests run them all.
 */
#ifndef SERVER_CATALOGUE_GALLERY_H
#define SERVER_CATALOGUE_GALLERY_H

#include "core/base/registry.h"
#include "server/text/json_out.h"

#include <limits.h>

enum { GALLERY_EXPECTATIONS = 8 };

/* Layers that depend on the depth of the arm. */
enum { LAYER_LAST = INT_MAX, LAYER_HALF = INT_MAX - 1, LAYER_QUARTER = INT_MAX - 2 };

/* One number of a result: the mean over the seeds of an arm. */
typedef struct gallery_value {
    const char *arm; /* words that the arm's swept values have, "post_ln 48"; NULL: the only arm */
    metric metric;
    site site;
    const char *param; /* NULL unless site is param */
    int layer;
    int step;
} gallery_value;

/* of, or of / over where over has a site, is from min to max. */
typedef struct gallery_expectation {
    const char *says;
    double min, max;
    gallery_value of, over;
    bool is_ratio;
} gallery_expectation;

/* What the verdict of an arm is expected to be. */
typedef struct gallery_verdict {
    const char *arm;   /* as in gallery_value; NULL: every arm that no row before it has */
    const char *level; /* pass, warn, fail; NULL ends the list */
    const char *rule;  /* a rule that has this level; NULL: any */
} gallery_verdict;

typedef struct gallery {
    entry entry;
    gallery_verdict verdicts[GALLERY_EXPECTATIONS];
    gallery_expectation expect[GALLERY_EXPECTATIONS];
    const char *job; /* JSON text */
} gallery;

extern const gallery gallery_table[];
extern const registry gallery_registry; /* kind "gallery" */

int gallery_count(const gallery *g); /* expectations */
int gallery_layer(const gallery_value *v, int depth);
/* "gallery:NAME" -> the row, or -1 when text does not begin so; -2: there is no such row. */
int gallery_named(const char *text);

/* "cos_mean at resid_out, block L, of post_ln" */
void gallery_value_text(json_out *o, const gallery_value *v);
/* "at least 0.9", "0.9 to 1.1", "exactly 0" */
void gallery_range_text(json_out *o, const gallery_expectation *e);

/* The members says, of, over, min and max of an expectation, in an open object. */
void gallery_expectation_members(json_out *o, const gallery_expectation *e);

/* {"gallery":[…]}: schema/gallery.json; one row of it. Heap; NULL when out of memory. */
char *gallery_json(void);
char *gallery_row_json(int row);
char *gallery_row_text(int row);

#endif

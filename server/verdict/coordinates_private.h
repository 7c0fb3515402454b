/* Inside of the coordinate check: coordinates.c judges, coordinates_out.c writes. */
#ifndef SERVER_VERDICT_COORDINATES_PRIVATE_H
#define SERVER_VERDICT_COORDINATES_PRIVATE_H

#include "server/verdict/coordinates.h"

typedef enum coordinate_place {
    AT_EMBEDDING,
    AT_FIRST,
    AT_MIDDLE,
    AT_LAST,
    AT_HEAD,
    PLACES
} coordinate_place;

/* What is judged at once: one metric of one site at one step and place, along the axis. */
typedef struct coordinate_row {
    const coordinate_point *like; /* its metric, site and step */
    coordinate_place at;
    double slope, spread; /* NaN: none */
    bool not_finite;
    bool judged, above_only;
    coordinates_verdict verdict;
} coordinate_row;

typedef struct coordinate_arm {
    coordinates *c;
    const char *rest;
    double *along;   /* [n] the values of the axis */
    uint64_t *seeds; /* [n_seeds] */
    int n, n_seeds, least_depth;
    double *values; /* [n_seeds, n] of the row at hand; NaN: none */
    double *means;  /* [n] of it, over the seeds */
    /* The row at hand: points first to end - 1, those at this place. */
    size_t first, end;
    coordinate_place at;
    /* Of the rows that were counted. */
    int judged, failed, last_step;
    bool any_worst;
    coordinate_row worst; /* failing rows before others, then by slope */
    double bad;           /* of it */
} coordinate_arm;

void coordinates_sort(coordinates *c); /* before any arm */
/* Is it the first run of its arm, and of any? */
bool coordinates_is_first(const coordinates *c, int run);

/* false: out of memory. The caller calls coordinate_arm_deinit in any case. */
bool coordinate_arm_init(coordinate_arm *a, coordinates *c, const char *rest);
void coordinate_arm_deinit(coordinate_arm *a);
/* The rows one after the other, with their means in a->means; false after the last, and then it
 * begins again. */
bool coordinate_arm_next(coordinate_arm *a, coordinate_row *out);
void coordinate_arm_count(coordinate_arm *a, const coordinate_row *r);

#endif

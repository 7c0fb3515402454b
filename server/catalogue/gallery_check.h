/* What was expected of a gallery job against what its runs have measured. */
#ifndef SERVER_CATALOGUE_GALLERY_CHECK_H
#define SERVER_CATALOGUE_GALLERY_CHECK_H

#include "server/catalogue/gallery.h"
#include "server/job/job.h"

#include <stdio.h>

typedef struct gallery_mean {
    double sum;
    int n, arm; /* arm: the first run of the arm that it is taken from; -1: none yet */
} gallery_mean;

typedef struct gallery_check {
    const gallery *gallery;
    const job *job;
    gallery_mean of[GALLERY_EXPECTATIONS], over[GALLERY_EXPECTATIONS];
} gallery_check;

void gallery_check_init(gallery_check *c, const gallery *g, const job *j);
/* Measurements of a run of the job, by its index. */
void gallery_check_measure(gallery_check *c, int run, const measurement *m, size_t n);

/* One measurement for expectation i alone: for its value, or for what that is divided by. */
void gallery_check_offer(gallery_check *c, int i, bool over, int run, const measurement *m);

/* The measured number of expectation i: a mean over seeds, or a ratio of two. NaN when it was not
 * measured. */
double gallery_check_value(const gallery_check *c, int i);
bool gallery_check_holds(const gallery_check *c, int i);

/* One line for each expectation; returns how many do not hold. */
int gallery_check_print(const gallery_check *c, FILE *to);

/* Does an arm have these words among its swept values? words NULL: always. */
bool gallery_check_is_arm(const char *arm_json, const char *words);

#endif

/* Inside of a ranking: ranking.c computes, ranking_out.c writes. */
#ifndef SERVER_VERDICT_RANKING_PRIVATE_H
#define SERVER_VERDICT_RANKING_PRIVATE_H

#include "server/verdict/ranking.h"

/* Of the run at hand, one per column. */
typedef struct ranking_cell {
    double whole, blocks;
    int n_whole, n_blocks;
    reason why;
} ranking_cell;

typedef struct ranking_sum {
    double mean, square; /* Welford */
    int n;
    reason why;
} ranking_sum;

struct ranking {
    bool weighted;
    ranking_term columns[METRIC_COUNT]; /* the terms, then what stands beside them */
    int n_terms, n_columns;
    ranking_cell run[METRIC_COUNT];
    double run_loss;
    int at; /* arm of the run at hand, -1: none */
    ranking_arm *arms;
    ranking_sum *sums;     /* [n_arms, n_columns] */
    ranking_sum *losses;   /* [n_arms] */
    ranking_value *values; /* [n_arms, n_columns] */
    int *order;            /* arms, best first */
    double *scratch;       /* [2 n_arms], for one column */
    int n_arms, room;
    int fewest; /* seeds of an arm */
};

#endif

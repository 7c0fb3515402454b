/* Inside of a ranking: ranking.c computes, ranking_out.c writes. */
#ifndef SERVER_RANKING_PRIVATE_H
#define SERVER_RANKING_PRIVATE_H

#include "server/ranking.h"

/* Of the run at hand, one per term. */
typedef struct ranking_cell {
    double whole, blocks;
    int n_whole, n_blocks;
} ranking_cell;

typedef struct ranking_sum {
    double mean, square; /* Welford */
    int n;
} ranking_sum;

struct ranking {
    bool weighted;
    ranking_term terms[RANKING_TERMS];
    int n_terms;
    ranking_cell run[RANKING_TERMS];
    double run_loss;
    int at; /* arm of the run at hand, -1: none */
    ranking_arm *arms;
    ranking_sum *sums;     /* [n_arms, RANKING_TERMS] */
    ranking_sum *losses;   /* [n_arms] */
    ranking_value *values; /* [n_arms, RANKING_TERMS] */
    int *order;            /* arms, best first */
    int n_arms, room;
    int fewest; /* seeds of an arm */
};

#endif

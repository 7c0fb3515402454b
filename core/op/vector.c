#include "core/op/vector.h"

int op_vector_tasks(const graph *g, const node *n)
{
    (void)g;
    return n->n_params && !n->chained;
}

int op_one_slice(const graph *g, const node *n, int i)
{
    (void)g, (void)n, (void)i;
    return 1;
}

void op_vector_task(const exec *x, const node *n, int task)
{
    (void)task;
    exec_sum_partials(x, n);
}

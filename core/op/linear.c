/* y = c x W' + b, W [out, in] row-major, c constant. Several row-adjacent matrices (q, k, v; gate,
 * up) make one product: x is packed once.
 *
 *   dx = c dy W,  dW = c dy' x (sum over all tokens),  db = sum over tokens of dy
 *
 * dW is cut into fixed slices of rows, each one product over all tokens: no partial sums to add.
 */
#include "core/graph/rounding.h"
#include "core/math/blas.h"
#include "core/op/op.h"

#include <string.h>

enum { SLICE_ROWS = 512 };

/* What a node of this op knows. */
typedef struct own {
    double scale;
    int groups;    /* matrices side by side */
    int biases[3]; /* of each matrix, or NONE */
} own;

static const own *own_of(const node *n)
{
    return n->own;
}

int op_linear_build(graph *g, int x, const int *weights, const int *biases, int n_weights)
{
    return op_linear_scaled_build(g, 1, x, weights, biases, n_weights);
}

int op_linear_scaled_build(
    graph *g, double c, int x, const int *weights, const int *biases, int n_weights)
{
    node *n = graph_node(g, &op_linear);
    own *o = graph_own(g, n, sizeof *o);
    int out = 0;
    o->scale = c;
    for (int i = 0; i < n_weights; i++) {
        n->params[i] = weights[i];
        o->biases[i] = biases ? biases[i] : NONE;
        out += (int)g->params[weights[i]].dims[0];
    }
    n->n_params = n_weights;
    for (int i = 0; i < n_weights; i++)
        if (own_of(n)->biases[i] != NONE) n->params[n->n_params++] = own_of(n)->biases[i];
    o->groups = n_weights;
    int y = graph_value(g, g->values[x].rows, out);
    n->inputs[0] = x, n->n_inputs = 1;
    n->outputs[0] = y, n->n_outputs = 1;
    return y;
}

static void add_bias(real *y, const real *bias, size_t rows, size_t cols, size_t ld)
{
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < cols; j++) y[r * ld + j] += bias[j];
}

static size_t rows_of(const exec *x, const node *n, int sequences)
{
    return (size_t)x->g->values[n->inputs[0]].rows * (size_t)sequences;
}

static void forward(const exec *x, const node *n, const span *s)
{
    const value *in = &x->g->values[n->inputs[0]], *out = &x->g->values[n->outputs[0]];
    size_t rows = rows_of(x, n, s->b1 - s->b0), ld = (size_t)out->ld;
    real *y = exec_value(x, n->outputs[0], s->b0);
    gemm_nt(rows, (size_t)out->cols, (size_t)in->cols, (real)own_of(n)->scale,
            exec_value(x, n->inputs[0], s->b0), (size_t)in->ld, exec_param(x, n->params[0]),
            (size_t)in->cols, 0, y, ld);
    for (int i = 0; i < own_of(n)->groups; i++) {
        size_t width = x->g->params[n->params[i]].dims[0];
        if (own_of(n)->biases[i] != NONE)
            add_bias(y, exec_param(x, own_of(n)->biases[i]), rows, width, ld);
        y += width;
    }
}

static void backward(const exec *x, const node *n, const span *s)
{
    const value *in = &x->g->values[n->inputs[0]], *out = &x->g->values[n->outputs[0]];
    real beta = exec_grad_prepare(x, n, 0, s->b0, s->b1);
    gemm_nn(rows_of(x, n, s->b1 - s->b0), (size_t)in->cols, (size_t)out->cols,
            (real)own_of(n)->scale, exec_grad(x, n->outputs[0], s->b0), (size_t)out->ld,
            exec_param(x, n->params[0]), (size_t)in->cols, beta, exec_grad(x, n->inputs[0], s->b0),
            (size_t)in->ld);
}

static int slices_of(const graph *g, int p)
{
    return (int)((g->params[p].dims[0] + SLICE_ROWS - 1) / SLICE_ROWS);
}

static int n_param_tasks(const graph *g, const node *n)
{
    int tasks = 0;
    for (int i = 0; i < own_of(n)->groups; i++) tasks += slices_of(g, n->params[i]);
    return tasks;
}

static int n_slices(const graph *g, const node *n, int i)
{
    return slices_of(g, n->params[i]);
}

/* Sum over tokens in double, in the order of the tokens. */
static void bias_gradient(real *db, const real *dy, size_t rows, size_t cols, size_t ld)
{
    double sum[SLICE_ROWS] = {0};
    for (size_t r = 0; r < rows; r++)
        for (size_t j = 0; j < cols; j++) sum[j] += (double)dy[r * ld + j];
    for (size_t j = 0; j < cols; j++) db[j] = (real)sum[j];
}

static void param_task(const exec *x, const node *n, int task)
{
    const graph *g = x->g;
    const value *in = &g->values[n->inputs[0]], *out = &g->values[n->outputs[0]];
    size_t column = 0;
    int i = 0;
    for (; task >= slices_of(g, n->params[i]); i++) {
        task -= slices_of(g, n->params[i]);
        column += g->params[n->params[i]].dims[0];
    }
    const param *w = &g->params[n->params[i]];
    size_t row = (size_t)task * SLICE_ROWS, rows = w->dims[0] - row,
           tokens = rows_of(x, n, g->batch);
    if (rows > SLICE_ROWS) rows = SLICE_ROWS;
    const real *dy = exec_grad(x, n->outputs[0], 0) + column + row;
    real *dw = exec_param_grad(x, n->params[i]) + row * w->dims[1];
    gemm_tn(rows, w->dims[1], tokens, (real)own_of(n)->scale, dy, (size_t)out->ld,
            exec_value(x, n->inputs[0], 0), (size_t)in->ld, n->accumulates >> i & 1 ? 1 : 0, dw,
            w->dims[1]);
    exec_matrix_slice(x, n, n->params[i], task, dw, rows * w->dims[1]);
    if (own_of(n)->biases[i] == NONE) return;
    real *db = exec_param_grad(x, own_of(n)->biases[i]) + row;
    bias_gradient(db, dy, tokens, rows, (size_t)out->ld);
    exec_slice(x, own_of(n)->biases[i], task, db, rows);
}

static const char *product_name(const param *p)
{
    static const char *const names[MATRIX_COUNT] = {
        [MATRIX_query] = "qkv",   [MATRIX_key] = "qkv", [MATRIX_value] = "qkv",
        [MATRIX_attn_out] = "wo", [MATRIX_gate] = "w1", [MATRIX_up] = "w1",
        [MATRIX_down] = "w2"};
    return names[p->matrix] ? names[p->matrix] : "head";
}

static int products(const graph *g, const node *n, matrix_product out[NODE_PRODUCTS])
{
    const value *x = &g->values[n->inputs[0]], *y = &g->values[n->outputs[0]];
    out[0] = (matrix_product){.name = product_name(&g->params[n->params[0]]),
                              .grads = {"dx", "dw"},
                              .count = 1,
                              .m = g->batch * x->rows,
                              .n = y->cols,
                              .k = x->cols,
                              .turned = true};
    return 1;
}

int op_linear_matrices(const node *n)
{
    return own_of(n)->groups;
}

/* Of several matrices side by side, the one whose columns begin there. */
static const char *part(const graph *g, const node *n, int column)
{
    int end = 0;
    if (own_of(n)->groups < 2) return NULL;
    for (int i = 0; i < own_of(n)->groups; i++) {
        const param *p = &g->params[n->params[i]];
        end += (int)p->dims[0];
        if (column < end) return p->role;
    }
    return NULL;
}

static void describe(const graph *g, const node *n, description *out)
{
    (void)g;
    if (own_of(n)->scale != 1) describe_number(out, "scale", own_of(n)->scale);
}

const op op_linear = {
    .entry = {.name = "linear", .summary = "y = c x W' + b"},
    .param_inputs = 1,
    .can_add = true,
    .forward = forward,
    .backward = backward,
    .n_param_tasks = n_param_tasks,
    .n_slices = n_slices,
    .param_task = param_task,
    .products = products,
    .describe = describe,
    .part = part,
};

#include "core/metric/order.h"

static void swap(double *a, double *b)
{
    const double t = *a;
    *a = *b;
    *b = t;
}

static void sift_down(double *a, size_t at, size_t n)
{
    const double v = a[at];
    for (size_t child; (child = 2 * at + 1) < n; at = child) {
        if (child + 1 < n && a[child + 1] > a[child]) child++;
        if (!(a[child] > v)) break;
        a[at] = a[child];
    }
    a[at] = v;
}

void order_sort(double *a, size_t n)
{
    for (size_t i = n / 2; i-- > 0;) sift_down(a, i, n);
    for (size_t i = n; i-- > 1;) {
        swap(&a[0], &a[i]);
        sift_down(a, 0, i);
    }
}

/* Median of three as the pivot value, Hoare's partition: returns the last index of the left part,
 * which is at least lo and less than hi. */
static size_t partition(double *a, size_t lo, size_t hi)
{
    const size_t mid = lo + (hi - lo) / 2;
    if (a[mid] < a[lo]) swap(&a[mid], &a[lo]);
    if (a[hi] < a[lo]) swap(&a[hi], &a[lo]);
    if (a[hi] < a[mid]) swap(&a[hi], &a[mid]);
    const double pivot = a[mid];
    size_t i = lo, j = hi;
    for (;;) {
        while (a[i] < pivot) i++;
        while (a[j] > pivot) j--;
        if (i >= j) return j;
        swap(&a[i++], &a[j--]);
    }
}

double order_select(double *a, size_t n, size_t k)
{
    size_t lo = 0, hi = n - 1;
    for (size_t budget = 4 * n; lo < hi;) {
        if (hi - lo > budget) { /* unlucky pivots: finish in bounded time */
            order_sort(a + lo, hi - lo + 1);
            break;
        }
        budget -= hi - lo;
        const size_t left = partition(a, lo, hi);
        if (k <= left) {
            hi = left;
        } else {
            lo = left + 1;
        }
    }
    return a[k];
}

double order_quantile(double *a, size_t n, double q)
{
    const double position = q * (double)(n - 1);
    size_t k = (size_t)position;
    if (k > n - 1) k = n - 1;
    const double below = order_select(a, n, k);
    if (k + 1 == n || position == (double)k) return below;
    double above =
        a[k + 1]; /* everything after k is at least a[k]: its least is the next in order */
    for (size_t i = k + 2; i < n; i++) above = a[i] < above ? a[i] : above;
    return below + (above - below) * (position - (double)k);
}

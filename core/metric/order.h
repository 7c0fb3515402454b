/* Order statistics of float64 arrays without NaN, in place, without allocation. Any thread.
 *
 * order_sort: ascending (heap sort). order_select: returns the k-th smallest, 0 <= k < n, and
 * leaves it at a[k] with nothing larger before and nothing smaller after it; O(n) in practice,
 * O(n log n) at worst. order_quantile: q in [0, 1], linear interpolation at position q (n - 1).
 */
#ifndef CORE_METRIC_ORDER_H
#define CORE_METRIC_ORDER_H

#include <stddef.h>

void order_sort(double *a, size_t n);
double order_select(double *a, size_t n, size_t k);
double order_quantile(double *a, size_t n, double q);

#endif

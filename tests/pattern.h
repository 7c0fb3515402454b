/* Weights and data that the goldens and the C tests compute alike, bit for bit, from the tensor's
 * name and the flat index. The definition, with reasons, is in tests/oracle/pattern.py.
 */
#ifndef TESTS_PATTERN_H
#define TESTS_PATTERN_H

#include "core/engine.h"

#include <math.h>
#include <string.h>

static inline uint32_t pattern_bits(const char *name, size_t index)
{
    uint32_t h = 0x811C9DC5u;
    for (const char *c = name; *c != '\0'; c++) h = (h ^ (unsigned char)*c) * 0x01000193u;
    h += (uint32_t)index * 0x9E3779B9u;
    h ^= h >> 16;
    h *= 0x85EBCA6Bu;
    h ^= h >> 13;
    h *= 0xC2B2AE35u;
    return h ^ h >> 16;
}

static inline double pattern_unit(const char *name, size_t index)
{
    return (double)(pattern_bits(name, index) >> 8) / 8388608.0 - 1.0;
}

static inline double pattern_parameter(const char *name, size_t index, int rank, const size_t *dims)
{
    double u = pattern_unit(name, index);
    if (rank == 2) return sqrt(3.0 / (double)dims[1]) * u;
    const char *dot = strrchr(name, '.'), *last = dot == NULL ? name : dot + 1;
    if (strcmp(last, "weight") == 0) return 1.0 + 0.2 * u;
    bool offset = strncmp(last, "bias", 4) == 0 || strncmp(last, "shift", 5) == 0;
    return offset ? 0.1 * u : 0.5 + 0.3 * u;
}

/* data.grad_seed [B, T, D]; common: one row for all tokens of a sequence. */
static inline double pattern_grad_seed(size_t index, const size_t *dims, bool common)
{
    size_t T = dims[1], D = dims[2];
    size_t source = common ? index / (T * D) * D + index % D : index;
    return sqrt(3.0 / (double)(dims[0] * T * D)) * pattern_unit("data.grad_seed", source);
}

static inline size_t pattern_count(const tensor_view *t)
{
    size_t n = 1;
    for (int i = 0; i < t->rank; i++) n *= t->dims[i];
    return n;
}

static inline double
pattern_value(const run_spec *spec, const tensor_view *t, size_t i, bool common)
{
    if (strcmp(t->name, "data.tokens") == 0)
        return (double)(pattern_bits(t->name, i) % (uint32_t)spec->model.vocab);
    if (strcmp(t->name, "data.loss_mask") == 0) return pattern_bits(t->name, i) % 3 == 0;
    if (strcmp(t->name, "data.inputs") == 0) return sqrt(3.0) * pattern_unit(t->name, i);
    if (strcmp(t->name, "data.grad_seed") == 0) return pattern_grad_seed(i, t->dims, common);
    return pattern_parameter(t->name, i, t->rank, t->dims);
}

static inline void pattern_store(const tensor_view *t, size_t i, double v)
{
    switch (t->type) {
    case TENSOR_F32:
        ((float *)t->data)[i] = (float)v;
        break;
    case TENSOR_F64:
        ((double *)t->data)[i] = v;
        break;
    case TENSOR_I32:
        ((int32_t *)t->data)[i] = (int32_t)v;
        break;
    case TENSOR_U8:
        ((unsigned char *)t->data)[i] = (unsigned char)v;
        break;
    }
}

static inline double pattern_load(const tensor_view *t, size_t i)
{
    switch (t->type) {
    case TENSOR_F32:
        return (double)((const float *)t->data)[i];
    case TENSOR_F64:
        return ((const double *)t->data)[i];
    case TENSOR_I32:
        return ((const int32_t *)t->data)[i];
    case TENSOR_U8:
        return ((const unsigned char *)t->data)[i];
    }
    return NAN;
}

/* Overwrites a tensor of the run, at TENSOR_INITIAL; running state stays at its start. common: the
 * loss is grad_common. */
static inline void pattern_fill(const run_spec *spec, const tensor_view *t, bool common)
{
    if (strncmp(t->name, "state.", 6) == 0) return;
    size_t n = pattern_count(t);
    for (size_t i = 0; i < n; i++) pattern_store(t, i, pattern_value(spec, t, i, common));
}

/* The two projections of tests/oracle/pattern.py and the Frobenius norm. */
typedef struct projections {
    double norm, cosine, sine;
} projections;

static inline projections pattern_projections(const double *x, size_t n)
{
    projections p = {0};
    for (size_t i = 0; i < n; i++) {
        p.norm += x[i] * x[i];
        p.cosine += cos(0.7 * (double)i + 0.1) * x[i];
        p.sine += sin(1.3 * (double)i + 0.2) * x[i];
    }
    p.norm = sqrt(p.norm);
    return p;
}

#endif

#include "core/base/rng.h"

#include "core/real.h"

VECTOR extern double log(double);
VECTOR extern double sin(double);
VECTOR extern double cos(double);

static uint64_t fnv1a(uint64_t hash, const char *text)
{
    for (; *text; text++) hash = (hash ^ (unsigned char)*text) * 0x100000001b3u;
    return (hash ^ 0xff) * 0x100000001b3u; /* a separator, so "ab","c" differs from "a","bc" */
}

rng rng_stream(uint64_t seed, const char *purpose, const char *name)
{
    uint64_t hash = fnv1a(fnv1a(0xcbf29ce484222325u, purpose), name);
    return (rng){{(uint32_t)seed, (uint32_t)(seed >> 32)},
                 {(uint32_t)hash, (uint32_t)(hash >> 32)}};
}

static inline __attribute__((always_inline)) void
philox(const rng *r, uint64_t block, uint32_t out[4])
{
    uint32_t c0 = (uint32_t)block, c1 = (uint32_t)(block >> 32), c2 = r->stream[0],
             c3 = r->stream[1], k0 = r->key[0], k1 = r->key[1];
#pragma GCC unroll 10
    for (int round = 0; round < 10; round++) {
        uint64_t p0 = (uint64_t)0xD2511F53u * c0, p1 = (uint64_t)0xCD9E8D57u * c2;
        uint32_t n0 = (uint32_t)(p1 >> 32) ^ c1 ^ k0, n2 = (uint32_t)(p0 >> 32) ^ c3 ^ k1;
        c1 = (uint32_t)p1;
        c3 = (uint32_t)p0;
        c0 = n0;
        c2 = n2;
        k0 += 0x9E3779B9u;
        k1 += 0xBB67AE85u;
    }
    out[0] = c0, out[1] = c1, out[2] = c2, out[3] = c3;
}

uint64_t rng_bits(const rng *r, uint64_t i)
{
    uint32_t w[4];
    philox(r, i / 2, w);
    return i % 2 ? (uint64_t)w[3] << 32 | w[2] : (uint64_t)w[1] << 32 | w[0];
}

static double unit(uint64_t bits)
{
    return ((double)(bits >> 11) + 0.5) * 0x1p-53;
}

double rng_uniform(const rng *r, uint64_t i)
{
    return unit(rng_bits(r, i));
}

double rng_normal(const rng *r, uint64_t i)
{
    uint32_t w[4];
    philox(r, i / 2, w);
    double radius = sqrt(-2 * log(unit((uint64_t)w[1] << 32 | w[0])));
    double angle = 6.283185307179586476925 * unit((uint64_t)w[3] << 32 | w[2]);
    return radius * (i % 2 ? sin(angle) : cos(angle));
}

uint32_t rng_below(const rng *r, uint64_t i, uint32_t n)
{
    return (uint32_t)(((rng_bits(r, i) >> 32) * n) >> 32);
}

CLONES static void normal_pairs(const rng *r, uint64_t first, double *restrict out)
{
    double radius[RNG_BLOCK / 2], angle[RNG_BLOCK / 2];
    for (int i = 0; i < RNG_BLOCK / 2; i++) {
        uint32_t w[4];
        philox(r, first + (uint64_t)i, w);
        radius[i] = unit((uint64_t)w[1] << 32 | w[0]);
        angle[i] = 6.283185307179586476925 * unit((uint64_t)w[3] << 32 | w[2]);
    }
    double c[RNG_BLOCK / 2], s[RNG_BLOCK / 2];
#pragma omp simd
    for (int i = 0; i < RNG_BLOCK / 2; i++) c[i] = log(radius[i]);
    for (int i = 0; i < RNG_BLOCK / 2; i++) radius[i] = sqrt(-2 * c[i]);
    for (int i = 0; i < RNG_BLOCK / 2; i++) c[i] = cos(angle[i]);
    for (int i = 0; i < RNG_BLOCK / 2; i++) s[i] = sin(angle[i]);
    for (int i = 0; i < RNG_BLOCK / 2; i++) {
        out[2 * i] = radius[i] * c[i];
        out[2 * i + 1] = radius[i] * s[i];
    }
}

void rng_normal_block(const rng *r, uint64_t block, double out[RNG_BLOCK])
{
    normal_pairs(r, block * (RNG_BLOCK / 2), out);
}

CLONES static void uniform_pairs(const rng *r, uint64_t first, double *restrict out)
{
    for (int i = 0; i < RNG_BLOCK / 2; i++) {
        uint32_t w[4];
        philox(r, first + (uint64_t)i, w);
        out[2 * i] = unit((uint64_t)w[1] << 32 | w[0]);
        out[2 * i + 1] = unit((uint64_t)w[3] << 32 | w[2]);
    }
}

void rng_uniform_block(const rng *r, uint64_t block, double out[RNG_BLOCK])
{
    uniform_pairs(r, block * (RNG_BLOCK / 2), out);
}

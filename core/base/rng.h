/* Counter-based random numbers: Philox4x32-10 (Salmon et al., SC 2011).
 *
 * A stream is keyed by (seed, purpose, name), never by call order, and number i of a stream is a
 * function of the key and i alone, so any part of it can be drawn by any thread in any order.
 * Normals come in pairs from counter i/2 (Box-Muller). Draws are in double and rounded by the
 * caller, so float32 and float64 runs share weights. Any thread; allocates nothing.
 */
#ifndef CORE_BASE_RNG_H
#define CORE_BASE_RNG_H

#include <stddef.h>
#include <stdint.h>

typedef struct rng {
    uint32_t key[2];
    uint32_t stream[2]; /* upper half of the counter: hash of purpose and name */
} rng;

rng rng_stream(uint64_t seed, const char *purpose, const char *name);

uint64_t rng_bits(const rng *r, uint64_t i);              /* 64 random bits */
double rng_uniform(const rng *r, uint64_t i);             /* in (0, 1), 53 bits */
double rng_normal(const rng *r, uint64_t i);              /* N(0, 1), Box-Muller */
uint32_t rng_below(const rng *r, uint64_t i, uint32_t n); /* 0..n-1, n >= 1, bias below n/2^32 */

/* Many at once, with vector math: out[j] = normal number RNG_BLOCK block + j of the stream, to a
 * unit in the last place of rng_normal. Always a whole block, so a number never depends on its
 * neighbours. */
enum { RNG_BLOCK = 256 };
void rng_normal_block(const rng *r, uint64_t block, double out[RNG_BLOCK]);
void rng_uniform_block(const rng *r,
                       uint64_t block,
                       double out[RNG_BLOCK]); /* rng_uniform, exactly */

#endif

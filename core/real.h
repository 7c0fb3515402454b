/* The number type of this build of the engine, and the vector math that goes with it.
 *
 * core/ (except core/base/) is compiled twice: REAL_BITS=32 and REAL_BITS=64. CLONES compiles a
 * static function for three x86-64 levels and picks one when the program loads; with the simd
 * declarations below GCC calls glibc's vector functions in such loops. Only static functions may be
 * CLONES: the two builds are linked into one program.
 */
#ifndef CORE_REAL_H
#define CORE_REAL_H

#include <stddef.h>

#if REAL_BITS == 64
typedef double real;
#define R(number) number
#define REAL_TYPE TENSOR_F64
#define REAL_EPSILON 0x1p-52
#else
typedef float real;
#define R(number) number##f
#define REAL_TYPE TENSOR_F32
#define REAL_EPSILON 0x1p-23
#endif

/* Not under sanitizers, which cannot run in resolvers; not with Clang (the fuzzers), which makes
 * the resolvers of static functions global. */
#if defined(__x86_64__) && !defined(__clang__) && !defined(__SANITIZE_ADDRESS__) &&                \
    !defined(__SANITIZE_THREAD__)
#define CLONES __attribute__((target_clones("arch=x86-64-v4", "arch=x86-64-v3", "default")))
#define VECTOR __attribute__((simd("notinbranch")))
#else
#define CLONES
#define VECTOR
#endif

VECTOR extern float expf(float);
VECTOR extern double exp(double);
VECTOR extern float tanhf(float);
VECTOR extern double tanh(double);
VECTOR extern float erff(float);
VECTOR extern double erf(double);

#include <math.h>

#if REAL_BITS == 64
#define EXP exp
#define TANH tanh
#define ERF erf
#define SQRT sqrt
#else
#define EXP expf
#define TANH tanhf
#define ERF erff
#define SQRT sqrtf
#endif

#endif

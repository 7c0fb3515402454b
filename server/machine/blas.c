#include "server/machine/blas.h"

#include <cblas.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static const char override[] = "OPENBLAS_CORETYPE", done_before[] = "NORMSCOPE_EXECUTED_AGAIN";

void blas_single_thread(void)
{
    openblas_set_num_threads(1);
}

const char *blas_kernel(void)
{
    return openblas_get_corename();
}

const char *blas_library(void)
{
    return openblas_get_config();
}

enum { SSE2, AVX, AVX2, AVX512 };

static int cpu_level(void)
{
#if defined(__x86_64__)
    __builtin_cpu_init();
    if (__builtin_cpu_supports("avx512f") && __builtin_cpu_supports("avx512bw") &&
        __builtin_cpu_supports("avx512dq") && __builtin_cpu_supports("avx512vl"))
        return AVX512;
    if (__builtin_cpu_supports("avx2") && __builtin_cpu_supports("fma")) return AVX2;
    if (__builtin_cpu_supports("avx")) return AVX;
    return SSE2;
#else
    return -1;
#endif
}

static int kernel_level(const char *name)
{
    static const struct {
        const char *name;
        int level;
    } kernels[] = {
        {"SkylakeX", AVX512}, {"Cooperlake", AVX512}, {"SapphireRapids", AVX512},
        {"Haswell", AVX2},    {"Zen", AVX2},          {"Excavator", AVX2},
        {"Sandybridge", AVX}, {"Bulldozer", AVX},     {"Piledriver", AVX},
        {"Steamroller", AVX},
    };
    for (size_t i = 0; i < sizeof kernels / sizeof *kernels; i++)
        if (strcasecmp(kernels[i].name, name) == 0) return kernels[i].level;
    return SSE2;
}

bool blas_is_weaker(void)
{
    int cpu = cpu_level();
    return cpu >= 0 && kernel_level(blas_kernel()) < cpu;
}

bool blas_is_forced(void)
{
    return blas_is_weaker() && getenv(override) != NULL;
}

void blas_execute_best(char **argv)
{
    const char *value = getenv(override);
    if (!value || !blas_is_weaker() || getenv(done_before)) return;
    char *forced = strdup(value); /* unsetenv ends the life of value */
    if (!forced) return;
    if (unsetenv(override) == 0 && setenv(done_before, "1", 1) == 0) execv("/proc/self/exe", argv);
    setenv(override, forced, 1);
    free(forced);
}

const char *blas_cpu_vectors(void)
{
    static const char *const names[] = {"sse2", "avx", "avx2", "avx512"};
    int level = cpu_level();
    return level < 0 ? "other" : names[level];
}

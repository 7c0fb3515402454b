#include "server/machine/provenance.h"

#include "server/machine/blas.h"
#include "server/machine/version.h"
#include "server/text/json_out.h"

#include <stdio.h>
#include <string.h>

/* The processor's own name; "" where the kernel does not tell. */
static void cpu_name(char *out, size_t size)
{
    char line[256];
    out[0] = '\0';
    FILE *file = fopen("/proc/cpuinfo", "re");
    if (!file) return;
    while (!out[0] && fgets(line, sizeof line, file)) {
        char *colon = strchr(line, ':');
        if (strncmp(line, "model name", 10) != 0 || !colon) continue;
        colon[strcspn(colon, "\n")] = '\0';
        snprintf(out, size, "%s", colon + 1 + strspn(colon + 1, " "));
    }
    fclose(file);
}

char *provenance_json(int threads)
{
    char cpu[128];
    json_out o = {0};
    cpu_name(cpu, sizeof cpu);
    json_begin_object(&o);
    json_key(&o, "version");
    json_string(&o, NORMSCOPE_VERSION);
    json_key(&o, "build");
    json_string(&o, version_build());
    json_key(&o, "blas");
    json_string(&o, blas_library());
    json_key(&o, "blas_kernel");
    json_string(&o, blas_kernel());
    json_key(&o, "cpu");
    json_string(&o, cpu);
    json_key(&o, "cpu_vectors");
    json_string(&o, blas_cpu_vectors());
    json_key(&o, "threads");
    json_integer(&o, threads);
    json_end(&o);
    return json_take(&o);
}

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
    json_string_member(&o, "version", NORMSCOPE_VERSION);
    json_string_member(&o, "build", version_build());
    json_string_member(&o, "blas", blas_library());
    json_string_member(&o, "blas_kernel", blas_kernel());
    json_string_member(&o, "cpu", cpu);
    json_string_member(&o, "cpu_vectors", blas_cpu_vectors());
    json_integer_member(&o, "threads", threads);
    json_end(&o);
    return json_take(&o);
}

#include "server/provenance.h"

#include "server/json_out.h"

#include <stdio.h>
#include <string.h>

#ifndef NORMSCOPE_BUILD
#define NORMSCOPE_BUILD "unknown"
#endif

extern char *openblas_get_config(void), *openblas_get_corename(void);

const char *provenance_build(void)
{
    return NORMSCOPE_BUILD;
}

static void processor_name(char *out, size_t size)
{
    char line[256];
    snprintf(out, size, "unknown");
    FILE *f = fopen("/proc/cpuinfo", "re");
    if (!f) return;
    while (fgets(line, sizeof line, f)) {
        if (strncmp(line, "model name", 10) != 0) continue;
        const char *name = strchr(line, ':');
        if (name) snprintf(out, size, "%.*s", (int)strcspn(name + 1, "\n"), name + 1);
        break;
    }
    fclose(f);
}

char *provenance_text(int threads)
{
    json_out o = {0};
    char processor[200];
    processor_name(processor, sizeof processor);
    json_begin_object(&o);
    json_key(&o, "build");
    json_string(&o, provenance_build());
    json_key(&o, "blas");
    json_string(&o, openblas_get_config());
    json_key(&o, "blas_kernel");
    json_string(&o, openblas_get_corename());
    json_key(&o, "processor");
    json_string(&o, processor + strspn(processor, " "));
    json_key(&o, "threads");
    json_integer(&o, threads);
    json_end(&o);
    return json_take(&o);
}

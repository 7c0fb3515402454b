#include "server/job.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

void job_init(job *j)
{
    *j = (job){0};
}

void job_deinit(job *j)
{
    free(j->resolved);
    free(j->coverage);
    free(j->notes);
    free(j->runs);
    *j = (job){0};
}

/* A limit file of a cgroup; UINT64_MAX when it has none ("max") or cannot be read. */
static uint64_t read_limit(const char *path)
{
    unsigned long long value = UINT64_MAX;
    FILE *file = fopen(path, "re");
    if (!file) return UINT64_MAX;
    if (fscanf(file, "%llu", &value) != 1) value = UINT64_MAX;
    fclose(file);
    return value;
}

static uint64_t least(uint64_t a, uint64_t b)
{
    return a < b ? a : b;
}

/* The tightest memory.max from our cgroup (version 2) up to the root, or version 1's single limit.
 */
static uint64_t cgroup_limit(void)
{
    uint64_t limit = read_limit("/sys/fs/cgroup/memory/memory.limit_in_bytes");
    char line[512] = "", path[640];
    FILE *file = fopen("/proc/self/cgroup", "re");
    if (!file) return limit;
    while (fgets(line, sizeof line, file) && strncmp(line, "0::/", 4) != 0) line[0] = '\0';
    fclose(file);
    if (!line[0]) return limit;
    char *group = line + 3;
    group[strcspn(group, "\n")] = '\0';
    for (;;) {
        snprintf(path, sizeof path, "/sys/fs/cgroup%s/memory.max", group);
        limit = least(limit, read_limit(path));
        char *slash = strrchr(group, '/');
        if (!slash) return limit;
        *slash = '\0';
    }
}

limits limits_default(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t memory = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 1u << 30;
    return (limits){.body_bytes = 256 << 10,
                    .runs = 4096,
                    .peak_bytes = least(memory, cgroup_limit()) / 2,
                    .flops = 1e16,
                    .depth = 4096,
                    .blocks = 4e5,
                    .threads = 1};
}

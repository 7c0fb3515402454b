#include "server/machine/machine.h"

#include <math.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { PATH_BYTES = 1024 };

static const char mount_point[] = "/sys/fs/cgroup", self_file[] = "/proc/self/cgroup";

/* The first two words of a file of a group; false when it is not there. */
static bool read_words(const char *dir, const char *name, char a[32], char b[32])
{
    char path[PATH_BYTES + 64];
    snprintf(path, sizeof path, "%s/%s", dir, name);
    FILE *file = fopen(path, "re");
    a[0] = b[0] = '\0';
    if (!file) return false;
    int n = fscanf(file, "%31s %31s", a, b);
    fclose(file);
    return n > 0;
}

/* "max", "-1" and what is no number are no limit. */
static double number_of(const char *text)
{
    char *end;
    double value = strtod(text, &end);
    return end == text || *end || !(value > 0) ? HUGE_VAL : value;
}

static void limit_memory(machine_groups *g, const char *dir, const char *name)
{
    char a[32], b[32];
    if (!read_words(dir, name, a, b)) return;
    double value = number_of(a);
    if (value < (double)g->memory_bytes) g->memory_bytes = (uint64_t)value;
}

static void limit_cores(machine_groups *g, const char *quota, const char *period)
{
    double cores = number_of(quota) / number_of(period);
    if (cores > 0 && cores < g->cores) g->cores = cores; /* NaN: no limit over none */
}

static void read_v2(machine_groups *g, const char *dir)
{
    char quota[32], period[32];
    limit_memory(g, dir, "memory.max");
    if (read_words(dir, "cpu.max", quota, period)) limit_cores(g, quota, period);
}

static void read_v1(machine_groups *g, const char *dir)
{
    char quota[32], period[32], rest[32];
    limit_memory(g, dir, "memory.limit_in_bytes");
    if (read_words(dir, "cpu.cfs_quota_us", quota, rest) &&
        read_words(dir, "cpu.cfs_period_us", period, rest))
        limit_cores(g, quota, period);
}

/* From the group up to the root of its hierarchy, that included. */
static void climb(machine_groups *g,
                  const char *root,
                  const char *hierarchy,
                  const char *group,
                  void (*read_group)(machine_groups *, const char *))
{
    char dir[PATH_BYTES];
    int n = snprintf(dir, sizeof dir, "%s%s", root, hierarchy);
    size_t base = n < 0 ? sizeof dir : (size_t)n, bytes = strlen(group) + 1;
    if (base >= sizeof dir || bytes > sizeof dir - base) return;
    memcpy(dir + base, group, bytes);
    for (;;) {
        read_group(g, dir);
        char *slash = strrchr(dir + base, '/');
        if (!slash) return;
        *slash = '\0';
    }
}

static bool has_word(const char *list, const char *word)
{
    size_t n = strlen(word);
    for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
        if (strcspn(p, ",") == n && strncmp(p, word, n) == 0) return true;
    return false;
}

/* One line of /proc/self/cgroup: "ID:CONTROLLERS:GROUP", without controllers for version 2. */
static void read_line(machine_groups *g, const char *root, char *line)
{
    line[strcspn(line, "\n")] = '\0';
    char *controllers = strchr(line, ':'),
         *group = controllers ? strchr(controllers + 1, ':') : NULL;
    if (!group) return;
    *controllers++ = *group++ = '\0';
    if (!*controllers) {
        climb(g, root, "", group, read_v2);
        climb(g, root, "/unified", group, read_v2);
        return;
    }
    if (!has_word(controllers, "memory") && !has_word(controllers, "cpu")) return;
    char hierarchy[128];
    snprintf(hierarchy, sizeof hierarchy, "/%s", controllers);
    climb(g, root, hierarchy, group, read_v1);
    climb(g, root, has_word(controllers, "cpu") ? "/cpu" : "/memory", group, read_v1);
}

machine_groups machine_read_groups(const char *root, const char *self)
{
    machine_groups g = {.cores = HUGE_VAL, .memory_bytes = UINT64_MAX};
    char line[PATH_BYTES];
    FILE *file = fopen(self, "re");
    if (!file) return g;
    while (fgets(line, sizeof line, file)) read_line(&g, root, line);
    fclose(file);
    return g;
}

int machine_cores(void)
{
    cpu_set_t set;
    int n = sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : 1;
    double quota = ceil(machine_read_groups(mount_point, self_file).cores - 1e-6);
    if (quota < n) n = (int)quota;
    return n < 1 ? 1 : n;
}

uint64_t machine_memory_bytes(void)
{
    long pages = sysconf(_SC_PHYS_PAGES), page = sysconf(_SC_PAGESIZE);
    uint64_t all = pages > 0 && page > 0 ? (uint64_t)pages * (uint64_t)page : 1u << 30;
    uint64_t limit = machine_read_groups(mount_point, self_file).memory_bytes;
    return limit < all ? limit : all;
}

/* How much of this machine the process may use.
 *
 * A container or a service unit limits processor time and memory by control groups, and the kernel
 * goes on reporting the whole machine beside them. Both versions are read:
 *
 *   version 2   memory.max and cpu.max in our group and every group above it
 *   version 1   memory.limit_in_bytes, cpu.cfs_quota_us / cpu.cfs_period_us, likewise
 *
 * The tightest counts. Without a namespace of its own a container sees the path of the host in
 * /proc/self/cgroup and its own group at the root of the mount: paths that are not there are passed
 * over, and the root is always read.
 */
#ifndef SERVER_MACHINE_MACHINE_H
#define SERVER_MACHINE_MACHINE_H

#include <stdint.h>

typedef struct machine_groups {
    double cores;          /* HUGE_VAL: no limit */
    uint64_t memory_bytes; /* UINT64_MAX: no limit */
} machine_groups;

/* root: where the hierarchies are mounted; self: what /proc/self/cgroup says. */
machine_groups machine_read_groups(const char *root, const char *self);

/* Cores in the affinity mask and the quota of the groups, whichever is less; a quota of 1.5 cores
 * counts as two, so that none of it is left. At least 1. */
int machine_cores(void);

/* Physical memory or the limit of the groups, whichever is less. */
uint64_t machine_memory_bytes(void);

#endif

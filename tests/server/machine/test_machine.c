/* What a machine is, by its control groups: trees as the kernel shows them, made of files. */
#include "server/machine/machine.h"
#include "tests/server/temp.h"
#include "tests/suite.h"

#include <math.h>
#include <sys/stat.h>

static temp t;
static char root[80], self[80];

static void setup(void)
{
    temp_init(&t);
    snprintf(root, sizeof root, "%s/cgroup", t.dir);
    snprintf(self, sizeof self, "%s/self", t.dir);
    ck_assert_int_eq(mkdir(root, 0700), 0);
}

static void teardown(void)
{
    temp_deinit(&t);
}

static void write_file(const char *path, const char *text)
{
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    fputs(text, f);
    ck_assert_int_eq(fclose(f), 0);
}

/* name below root, with its directories. */
static void put(const char *name, const char *text)
{
    char path[256];
    snprintf(path, sizeof path, "%s/%s", root, name);
    for (char *p = path + strlen(root) + 1; (p = strchr(p, '/')); p++) {
        *p = '\0';
        mkdir(path, 0700);
        *p = '/';
    }
    write_file(path, text);
}

static machine_groups read_groups(const char *lines)
{
    write_file(self, lines);
    return machine_read_groups(root, self);
}

START_TEST(test_machine_without_groups_has_no_limit)
{
    machine_groups g = machine_read_groups(root, "/nonexistent");
    ck_assert(isinf(g.cores) && g.memory_bytes == UINT64_MAX);
    g = read_groups("0::/\n1:cpu:/x\nno line of the kernel\n");
    ck_assert(isinf(g.cores) && g.memory_bytes == UINT64_MAX);
}
END_TEST

START_TEST(test_machine_v2_takes_the_tightest_group)
{
    put("a/b/memory.max", "max\n");
    put("a/b/cpu.max", "max 100000\n");
    put("a/memory.max", "1073741824\n");
    put("a/cpu.max", "150000 100000\n");
    put("cpu.max", "400000 100000\n");
    put("other/memory.max", "4096\n");
    machine_groups g = read_groups("0::/a/b\n");
    ck_assert_double_eq(g.cores, 1.5);
    ck_assert_uint_eq(g.memory_bytes, 1u << 30);
    put("a/b/memory.max", "536870912\n");
    put("a/b/cpu.max", "50000 100000\n");
    g = read_groups("0::/a/b\n");
    ck_assert_double_eq(g.cores, 0.5);
    ck_assert_uint_eq(g.memory_bytes, 512u << 20);
}
END_TEST

/* In a container with a namespace of its own the group is the root of what is mounted. */
START_TEST(test_machine_v2_reads_the_root)
{
    put("memory.max", "268435456\n");
    put("cpu.max", "200000 50000\n");
    machine_groups g = read_groups("0::/\n");
    ck_assert_double_eq(g.cores, 4);
    ck_assert_uint_eq(g.memory_bytes, 256u << 20);
}
END_TEST

START_TEST(test_machine_v1_reads_each_hierarchy)
{
    put("memory/docker/c0/memory.limit_in_bytes", "805306368\n");
    put("memory/memory.limit_in_bytes", "9223372036854771712\n");
    put("cpu,cpuacct/docker/c0/cpu.cfs_quota_us", "250000\n");
    put("cpu,cpuacct/docker/c0/cpu.cfs_period_us", "100000\n");
    put("cpu,cpuacct/cpu.cfs_quota_us", "-1\n");
    put("cpu,cpuacct/cpu.cfs_period_us", "100000\n");
    machine_groups g = read_groups("9:name=systemd:/docker/c0\n4:memory:/docker/c0\n"
                                   "2:cpu,cpuacct:/docker/c0\n0::/\n");
    ck_assert_double_eq(g.cores, 2.5);
    ck_assert_uint_eq(g.memory_bytes, 768u << 20);
}
END_TEST

/* Version 1 without a namespace: the path is the host's, the files are at the root of the mount. */
START_TEST(test_machine_v1_passes_over_paths_of_the_host)
{
    put("memory/memory.limit_in_bytes", "134217728\n");
    put("cpu/cpu.cfs_quota_us", "100000\n");
    put("cpu/cpu.cfs_period_us", "100000\n");
    machine_groups g = read_groups("4:memory:/docker/c0\n3:cpu:/docker/c0\n");
    ck_assert_double_eq(g.cores, 1);
    ck_assert_uint_eq(g.memory_bytes, 128u << 20);
}
END_TEST

START_TEST(test_machine_hybrid_reads_the_unified_mount)
{
    put("unified/x/memory.max", "67108864\n");
    ck_assert_uint_eq(read_groups("1:name=systemd:/x\n0::/x\n").memory_bytes, 64u << 20);
}
END_TEST

START_TEST(test_machine_ignores_files_that_say_nothing)
{
    static const char *const quotas[] = {"", "-1 100000\n", "0 100000\n", "100000\n", "x y\n"};
    for (size_t i = 0; i < sizeof quotas / sizeof *quotas; i++) {
        put("cpu.max", quotas[i]);
        put("memory.max", "much\n");
        machine_groups g = read_groups("0::/\n");
        ck_assert_msg(isinf(g.cores), "quota %s: %g cores", quotas[i], g.cores);
        ck_assert_uint_eq(g.memory_bytes, UINT64_MAX);
    }
}
END_TEST

START_TEST(test_machine_of_this_process_is_sound)
{
    ck_assert_int_ge(machine_cores(), 1);
    ck_assert_int_le(machine_cores(), (int)sysconf(_SC_NPROCESSORS_CONF));
    ck_assert_uint_ge(machine_memory_bytes(), 1u << 20);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("machine");
    TCase *c = tcase_create("groups");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_machine_without_groups_has_no_limit);
    tcase_add_test(c, test_machine_v2_takes_the_tightest_group);
    tcase_add_test(c, test_machine_v2_reads_the_root);
    tcase_add_test(c, test_machine_v1_reads_each_hierarchy);
    tcase_add_test(c, test_machine_v1_passes_over_paths_of_the_host);
    tcase_add_test(c, test_machine_hybrid_reads_the_unified_mount);
    tcase_add_test(c, test_machine_ignores_files_that_say_nothing);
    tcase_add_test(c, test_machine_of_this_process_is_sound);
    suite_add_tcase(s, c);
    return suite_run(s);
}

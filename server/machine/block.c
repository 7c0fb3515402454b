#include "server/machine/block.h"

#include <stdint.h>
#include <sys/mman.h>

enum { HUGE_PAGE = 2 << 20 };

static size_t whole_pages(size_t bytes)
{
    return (bytes + HUGE_PAGE - 1) / HUGE_PAGE * HUGE_PAGE;
}

bool block_worth_huge(long long passes)
{
    enum { WORTH_PASSES = 10 };
    return passes >= WORTH_PASSES;
}

void *block_map(size_t bytes, bool huge)
{
    if (bytes == 0 || bytes > SIZE_MAX / 2) return NULL;
    size_t wanted = whole_pages(bytes);
    char *p = mmap(NULL, wanted + HUGE_PAGE, PROT_READ | PROT_WRITE,
                   MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
    if (p == MAP_FAILED) return NULL;
    size_t before = (HUGE_PAGE - (uintptr_t)p % HUGE_PAGE) % HUGE_PAGE, behind = HUGE_PAGE - before;
    if (before) munmap(p, before);
    munmap(p + before + wanted, behind);
    if (huge) madvise(p + before, wanted, MADV_HUGEPAGE); /* a system without them refuses */
    return p + before;
}

void block_unmap(void *block, size_t bytes)
{
    if (block) munmap(block, whole_pages(bytes));
}

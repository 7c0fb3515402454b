#include "core/base/arena.h"

#include <stdint.h>

#if defined(__SANITIZE_ADDRESS__)
#include <sanitizer/asan_interface.h>
#else
#define ASAN_POISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#define ASAN_UNPOISON_MEMORY_REGION(p, n) ((void)(p), (void)(n))
#endif

void arena_init(arena *a, void *base, size_t size)
{
    *a = (arena){.base = base, .size = size};
    if (base) ASAN_POISON_MEMORY_REGION(base, size);
}

void *arena_alloc(arena *a, size_t bytes)
{
    size_t start = a->used, padded = (bytes + ARENA_ALIGN - 1) / ARENA_ALIGN * ARENA_ALIGN;
    if (padded < bytes || padded > SIZE_MAX - start) {
        a->used = SIZE_MAX / ARENA_ALIGN * ARENA_ALIGN;
        return NULL;
    }
    if (!a->base) {
        a->used += padded;
        return NULL;
    }
    if (padded > a->size - start) return NULL;
    a->used += padded;
    ASAN_UNPOISON_MEMORY_REGION(a->base + start, bytes);
    return a->base + start;
}

void arena_release(void *base, size_t size)
{
    if (base) ASAN_UNPOISON_MEMORY_REGION(base, size);
}

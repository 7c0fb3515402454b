/* A bump allocator over one block that the caller owns. Only estimate, outline
 * and predict (core/estimate.c, core/engine.c) call malloc.
 *
 * arena_alloc returns 64-byte aligned, uninitialised memory, or NULL when the block is used up.
 * With base NULL the arena only counts: arena_alloc returns NULL but used still grows, which is how
 * sizes are summed before anything is allocated. Under AddressSanitizer the unused tail is
 * poisoned. Not thread-safe: an arena belongs to one thread.
 */
#ifndef CORE_BASE_ARENA_H
#define CORE_BASE_ARENA_H

#include <stddef.h>

enum { ARENA_ALIGN = 64 };

typedef struct arena {
    char *base;
    size_t size, used;
} arena;

void arena_init(arena *a, void *base, size_t size); /* base aligned to ARENA_ALIGN, or NULL */
void *arena_alloc(arena *a, size_t bytes);
/* Gives the block back to its owner: nothing in it is poisoned any more. */
void arena_release(void *base, size_t size);

#endif

/* The one block of memory that a run computes in: zeroed, aligned to 2 MiB, resident only where
 * touched.
 *
 * Huge pages make each pass over the block about 5 % faster and its first touch slower (measured on
 * a virtual machine, 190 MB: 40 ms less per pass, 250 ms more once), so they are for blocks that
 * many passes will walk through: block_worth_huge.
 */
#ifndef SERVER_MACHINE_BLOCK_H
#define SERVER_MACHINE_BLOCK_H

#include <stdbool.h>
#include <stddef.h>

bool block_worth_huge(long long passes);     /* passes a block has served or is going to serve */
void *block_map(size_t bytes, bool huge);    /* NULL when the system does not give that much */
void block_unmap(void *block, size_t bytes); /* the bytes it was mapped with; NULL: nothing */

#endif

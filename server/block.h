/* The one block of memory that a run computes in: zeroed, aligned to 2 MiB, resident only where
 * touched.
 *
 * huge asks for huge pages. They make each pass about 5 % faster and the first touch slower
 * (measured on a virtual machine, 190 MB: 40 ms less per pass, 350 ms more once), so they are for
 * runs of many passes: block_worth_huge.
 */
#ifndef SERVER_BLOCK_H
#define SERVER_BLOCK_H

#include <stdbool.h>
#include <stddef.h>

bool block_worth_huge(int train_steps);
void *block_map(size_t bytes, bool huge);    /* NULL when the system does not give that much */
void block_unmap(void *block, size_t bytes); /* the bytes it was mapped with; NULL: nothing */

#endif

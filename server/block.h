/* The one block of memory that a run computes in.
 *
 * Zeroed, aligned to 2 MiB and on huge pages where the system has them: a run walks through all of
 * it in each pass, and small pages cost a few per cent of that. Nothing is resident before it is
 * touched.
 */
#ifndef SERVER_BLOCK_H
#define SERVER_BLOCK_H

#include <stddef.h>

void *block_map(size_t bytes);               /* NULL when the system does not give that much */
void block_unmap(void *block, size_t bytes); /* the bytes it was mapped with; NULL: nothing */

#endif

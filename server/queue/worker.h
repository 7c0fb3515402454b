/* The worker process: `normscope worker`, started by the scheduler, never by a person.
 *
 * Reads frames on descriptor 0, writes frames on what was descriptor 1 (which then becomes a copy
 * of 2, so that a stray print cannot break the stream), and computes one run after another. It ends
 * when descriptor 0 ends or its parent dies, whichever it learns first; SIGINT and SIGTERM are left
 * to the daemon. Memory is limited (RLIMIT_AS) to what the run was estimated at, with some room.
 * Returns the exit status: 0 at the end of input, 1 when the stream broke.
 */
#ifndef SERVER_QUEUE_WORKER_H
#define SERVER_QUEUE_WORKER_H

int worker_main(void);

#endif

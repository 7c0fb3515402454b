/* `normscope bench`: how fast this machine computes a network, and how near that is to the speed of
 * the matrix products in it.
 */
#ifndef SERVER_BENCH_BENCH_H
#define SERVER_BENCH_BENCH_H

#include "server/command/option.h"

/* The arguments are job files, of each the first run; without any, the default job and one more
 * block at several depths. The exit status: 0, 1 failed, 2 bad input. */
int bench_main(const options *o);

#endif

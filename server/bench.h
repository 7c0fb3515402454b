/* `normscope bench`: how fast this machine is. */
#ifndef SERVER_BENCH_H
#define SERVER_BENCH_H

/* arguments: what follows the command. The exit status. */
int bench_main(int n_arguments, const char *const *arguments);

#endif

/* `normscope serve`: store, scheduler and HTTP server, until SIGINT or SIGTERM. */
#ifndef SERVER_COMMAND_SERVE_H
#define SERVER_COMMAND_SERVE_H

#include "server/command/option.h"

/* The exit status: 0 after a signal, 1 when something could not start, 2 for options that make no
 * sense. */
int serve_main(const options *o);

#endif

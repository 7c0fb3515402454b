/* `normscope describe [KIND [NAME]] [--json]`: the tables of what a job can say. */
#ifndef SERVER_COMMAND_DESCRIBE_H
#define SERVER_COMMAND_DESCRIBE_H

#include "server/command/option.h"

/* Writes to standard output; the exit status. */
int describe_main(const options *o);

#endif

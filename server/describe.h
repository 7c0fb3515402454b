/* `normscope describe [KIND [NAME]] [--json]`: the tables of what a job can say. */
#ifndef SERVER_DESCRIBE_H
#define SERVER_DESCRIBE_H

#include "server/option.h"

/* Writes to standard output; the exit status. */
int describe_main(const options *o);

#endif

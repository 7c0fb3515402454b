/* `normscope manual`: the manual page normscope(1) as roff, options and commands from the table. */
#ifndef SERVER_COMMAND_MANUAL_H
#define SERVER_COMMAND_MANUAL_H

#include "server/command/option.h"

int manual_main(const options *o); /* writes to standard output; the exit status */

#endif

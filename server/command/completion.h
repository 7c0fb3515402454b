/* `normscope completion bash|zsh|fish`: completion of the command line, from its table. */
#ifndef SERVER_COMMAND_COMPLETION_H
#define SERVER_COMMAND_COMPLETION_H

#include "server/command/option.h"

/* Writes to standard output; the exit status. Options are completed by name; values where the row
 * names them ("json|csv|ndjson"), files for FILE and DIR, strategies for --strategy; arguments:
 * jobs, kinds of `describe`. */
int completion_main(const options *o);

#endif

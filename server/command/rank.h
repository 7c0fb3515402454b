/* `normscope rank RESULT.json`: the arms of a job that `normscope run` has computed, ranked. */
#ifndef SERVER_COMMAND_RANK_H
#define SERVER_COMMAND_RANK_H

#include "server/command/option.h"

int rank_main(const options *o); /* exit status: 0, 1 or, for bad input, 2 */

#endif

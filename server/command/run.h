/* `normscope run`: a job here and now, in this process. */
#ifndef SERVER_COMMAND_RUN_H
#define SERVER_COMMAND_RUN_H

#include "server/command/option.h"

/* The exit status: 0 done (a run that diverged is done), 1 failed, 2 bad input, RUN_UNEXPECTED when
 * a job of the gallery has not come out as expected or, with --check, the verdict is fail;
 * RUN_WARNED when, with --check --strict, it is warn. Errors are one line on standard error,
 * "normscope: /model/n_heads: …"; there also one line for each expectation of a gallery job and,
 * unless --quiet, the verdict. */
int run_main(const options *o);

#endif

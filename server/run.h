/* `normscope run`: a job here and now, in this process. */
#ifndef SERVER_RUN_H
#define SERVER_RUN_H

#include "server/option.h"

/* The exit status: 0 done (a run that diverged is done), 1 failed, 2 bad input. Errors are one line
 * on standard error, "normscope: /model/n_heads: …". */
int run_main(const options *o);

#endif

/* `normscope predict`: what theory says of the start of a job's networks (server/job/predict.h). */
#ifndef SERVER_COMMAND_PREDICT_H
#define SERVER_COMMAND_PREDICT_H

#include "server/command/option.h"

/* The exit status. */
int predict_main(const options *o);

#endif

/* `normscope health`: asks a daemon on this machine whether it is able to compute. */
#ifndef SERVER_COMMAND_HEALTH_H
#define SERVER_COMMAND_HEALTH_H

#include "server/command/option.h"

/* GET /healthz at --listen (every address: loopback), within 5 s in all. Prints the reply. The exit
 * status is 0 when it was 200, else 1; 2 on wrong use. */
int health_main(const options *o);

#endif

/* `normscope backup FILE`: a copy of the results database, also while the daemon writes to it. */
#ifndef SERVER_COMMAND_BACKUP_H
#define SERVER_COMMAND_BACKUP_H

#include "server/command/option.h"

/* Writes one consistent state of --db to FILE, which must not be there yet, checks it and says what
 * is in it. Nothing else is needed for a restore. The exit status: 0; 1 with the reason; 2 on wrong
 * use. */
int backup_main(const options *o);

#endif

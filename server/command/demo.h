/* The demo study: three placements at three depths on real text (tests/jobs/demo.json, carried
 * inside the program), and the text itself, stored as the corpus "demo".
 */
#ifndef SERVER_COMMAND_DEMO_H
#define SERVER_COMMAND_DEMO_H

#include "server/queue/scheduler.h"

/* The job's text; NULL when the program carries none. */
const char *demo_job(void);

/* Stores the corpus: the file, or with NULL, unless there is one already, the licence texts that
 * Debian installs. ERR_NOT_FOUND when there are none; ERR_IO, ERR_LIMIT (most bytes), ERR_CONFLICT,
 * ERR_STORE. */
err_code demo_store_text(store *s, const char *path, size_t most, error *err);

/* Submits the study when the database has no job yet. *submitted false: it has. */
err_code demo_submit(store *s, scheduler *sch, const limits *lim, bool *submitted, error *err);

#endif

/* Jobs as the API shows them: what is stored, and beside it what the scheduler knows.
 *
 * Rows are copied out of the database and its reader given back before the scheduler is asked: that
 * may take a reader itself, and a thread that waited for a second one while it holds the first
 * would in the end wait for all the others that do the same.
 */
#ifndef SERVER_API_JOB_ROW_H
#define SERVER_API_JOB_ROW_H

#include "server/http/request.h"

enum { JOB_ROW_TEXTS = 10 };

typedef struct job_row {
    int64_t id;
    int runs_total, done, failed, skipped;
    char *text[JOB_ROW_TEXTS]; /* heap; NULL where the column is */
} job_row;

/* Rows of jobs that meet the conditions, a text after FROM jobs j with up to three values bound as
 * ?1..?3 (text may be NULL). At most max; n how many. false: the reply says why, nothing to free.
 */
bool job_row_read(job_row *rows,
                  int max,
                  int *n,
                  request *r,
                  reply *out,
                  const char *conditions,
                  int64_t first,
                  int64_t second,
                  const char *third);
void job_row_free(job_row *rows, int n);

/* With the resolved text, and echo, what was said about the job when it was read (coverage and
 * notes; NULL members: none). Lists have neither: echo NULL. No reader may be held by this thread.
 */
void job_row_write(json_out *o, http *h, const job_row *row, bool existing, const job *echo);

#endif

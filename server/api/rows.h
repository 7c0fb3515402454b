/* Tables of results as a stream: measurements, or losses, of the finished runs of a job or of one
 * run.
 *
 * Read page by page: a page takes a reader from the store, continues after the last key and gives
 * the reader back before its bytes are sent, so a slow client holds neither a reader nor a
 * snapshot. That is sound because the rows of a finished run never change; a job that is deleted
 * meanwhile breaks the stream off.
 */
#ifndef SERVER_API_ROWS_H
#define SERVER_API_ROWS_H

#include "server/http/request.h"

typedef enum rows_kind { ROWS_SERIES, ROWS_STEPS } rows_kind;

/* where: further conditions on the table in SQL, made of numbers only, as " AND step IN (0,5)".
 * run_where: the same for the table runs. run_id 0: all runs of the job. false: the reply says why.
 */
bool rows_open(stream *out,
               request *r,
               reply *p,
               rows_kind kind,
               int64_t job_id,
               int64_t run_id,
               const char *where,
               const char *run_where,
               bool csv);

#endif

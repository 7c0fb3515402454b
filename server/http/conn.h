/* The table of connections and the reaper: deadlines of our own.
 *
 * The library's timeout restarts at each byte, so a client that sends one byte a second holds its
 * connection for ever. Here every state of a connection has a deadline on the whole of it:
 *
 *   idle    -> header   conn_enter: the request line has arrived
 *   header  -> body     conn_enter: the headers have arrived
 *   body    -> handler  conn_enter: the request is complete; the handler runs, no deadline
 *   handler -> reply    conn_enter: the reply is queued; a stream of events: stream
 *   reply, stream -> idle   conn_enter: the reply has been sent
 *
 * A connection past its deadline is shut down, never closed: the descriptor belongs to the library.
 * When more than 80 % of the places are taken, the oldest connection that waits for its client goes
 * first: one whose request is incomplete, else one that has been reading a reply for two seconds.
 */
#ifndef SERVER_HTTP_CONN_H
#define SERVER_HTTP_CONN_H

#include <stdbool.h>
#include <stdint.h>

typedef enum conn_state {
    CONN_IDLE,    /* new, or kept alive: no request line yet */
    CONN_HEADER,  /* a request line, headers incomplete */
    CONN_BODY,    /* bytes = received so far */
    CONN_HANDLER, /* ours: no deadline */
    CONN_REPLY,   /* bytes = to send, or handed out so far when streamed */
    CONN_STREAM   /* server-sent events: no deadline, but few of them */
} conn_state;

typedef struct conn_limits {
    int connections; /* places */
    int streams;     /* of them at most this many in CONN_STREAM */
    int header_ms;   /* CONN_HEADER, and a new connection in CONN_IDLE */
    int idle_ms;     /* CONN_IDLE between requests */
    int body_ms;     /* CONN_BODY and CONN_REPLY, plus bytes / bytes_per_s */
    int bytes_per_s;
    int reply_max_ms; /* CONN_REPLY in any case: a stream of rows holds a snapshot of the database
                       */
} conn_limits;

typedef struct conn_table conn_table;
typedef struct conn conn;

conn_table *
conn_table_new(const conn_limits *limits); /* starts the reaper; NULL: no memory, no thread */
void conn_table_free(conn_table *t);       /* after every conn_close */

/* Any thread. conn_open returns NULL when out of memory: the connection is shut down then. */
conn *conn_open(conn_table *t, int fd);
void conn_close(conn_table *t, conn *c);
void conn_enter(conn_table *t, conn *c, conn_state state, uint64_t bytes); /* c may be NULL */
void conn_bytes(conn_table *t, conn *c, uint64_t bytes); /* progress in the state */
bool conn_stream(conn_table *t, conn *c);                /* CONN_STREAM; false: too many of them */
/* Waits until every request under way has its reply, ms at most. Streams of events, connections
 * that wait for their next request and new ones that stay silent are not waited for. */
void conn_drain(conn_table *t, int ms);
bool conn_gone(conn *c); /* the client has closed, or we have cut it; the connection's own thread */

#endif

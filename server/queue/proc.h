/* One worker process as the scheduler holds it: pipes, a pidfd, and bytes waiting to be written.
 *
 * The process is watched and killed through its pidfd, so a pid that was given to somebody else can
 * not be hit. All of it belongs to the scheduler's thread, which must also be the one that spawns:
 * the kernel ends a worker when the thread that made it ends.
 */
#ifndef SERVER_QUEUE_PROC_H
#define SERVER_QUEUE_PROC_H

#include "server/queue/frame.h"

#include <sys/types.h>

/* A corpus, shared by the workers it is being sent to. */
typedef struct proc_text {
    int references;
    char hash[65];
    unsigned char *bytes;
    size_t n;
} proc_text;

void proc_text_unref(proc_text *t);

enum { PROC_PIECES = 8, PROC_WHY = 160 };

typedef struct proc_piece {
    unsigned char *bytes; /* heap, ours; or NULL: those of text */
    proc_text *text;
    size_t n, at;
} proc_piece;

typedef struct proc {
    pid_t pid;                /* 0: there is no process */
    int pidfd, in_fd, out_fd; /* in_fd is written, out_fd is read; -1: closed */
    frame_reader reader;
    proc_piece pieces[PROC_PIECES];
    int n_pieces;
    char why[PROC_WHY]; /* why it was killed; "" when it was not, by us */
} proc;

/* The command and environment of workers, made once. */
typedef struct proc_command {
    char **argv; /* argv[0] is found along PATH unless it has a slash */
    char **env;  /* this process's, with OpenBLAS kept to one thread */
    char *words;
} proc_command;

err_code proc_command_init(proc_command *c, const char *command, error *err);
void proc_command_deinit(proc_command *c);

void proc_init(proc *p);
err_code proc_spawn(proc *p, const proc_command *c, error *err);
void proc_kill(proc *p, const char *why); /* the first reason is kept */

/* When the process has ended: takes its status, closes everything and says how it ended ("was
 * killed by signal 9 (Killed)"), or why we killed it. False while it lives. */
bool proc_reap(proc *p, char how[PROC_WHY]);

/* Queues a frame: payload is copied, text (may be NULL) is shared and follows it. */
err_code
proc_send(proc *p, frame_type type, const void *payload, size_t n, proc_text *text, error *err);
/* Writes what the pipe takes now. False when the pipe is broken. */
bool proc_flush(proc *p);
bool proc_wants_write(const proc *p);

#endif

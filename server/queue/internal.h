/* The scheduler's own thread and what it holds. Nobody else includes this.
 *
 * A slot is a place for one worker process:
 *
 *   EMPTY -> STARTING   spawned
 *   STARTING -> IDLE    HELLO
 *   IDLE -> BUSY        a claimed run was sent
 *   BUSY -> IDLE        DONE or FAILED
 *   any -> DYING        killed: garbage, silence, cancel, stop
 *   any -> EMPTY        the process has ended and was reaped
 *
 * An ending is a transition of a run that still has to be written to the store. Freed slots get
 * their next run before endings are written, so that workers do not wait for the disk; but while an
 * ending could not be written nothing is claimed, so there are never more than two endings per
 * slot.
 */
#ifndef SERVER_QUEUE_INTERNAL_H
#define SERVER_QUEUE_INTERNAL_H

#include "server/queue/intake.h"
#include "server/queue/live.h"
#include "server/queue/proc.h"
#include "server/queue/scheduler.h"

enum {
    SLOTS_MAX = 256,
    DEATHS_MAX = 2, /* of workers on one run, then it fails */
    PING_MS = 5000,
    PONG_MS = 10000,
    PROBE_S = 10,
    EOF_MS = 500, /* between a closed pipe and the end of the process */
    RETRY_MS = 1000,
    IDLE_MS = 1000,
    BACKOFF_MIN_MS = 100,
    BACKOFF_MAX_MS = 5000,
    STOP_MS = 3000,
    FRAMES_AT_ONCE = 256,
};

typedef enum slot_state { SLOT_EMPTY, SLOT_STARTING, SLOT_IDLE, SLOT_BUSY, SLOT_DYING } slot_state;

typedef struct slot {
    slot_state state;
    proc p;
    claimed_run run; /* while busy */
    intake in;
    double reported;               /* of run.flops, to live_progress */
    int64_t seen_ms;               /* newest frame, or when it was started or given a run */
    int64_t silence_ms;            /* how long it may say nothing */
    int64_t pinged_ms;             /* 0: no ping is out */
    int64_t eof_ms;                /* when its pipe ended; 0: it is open */
    int64_t spawn_ms;              /* when an empty slot is filled again */
    int64_t backoff_ms;            /* grows while workers end without having done anything */
    uint64_t held_bytes;           /* of its run, until the process is gone */
    char corpus_hash[TEXT_SHA256]; /* what the process has */
} slot;

typedef enum ending_kind {
    ENDING_FINISH,
    ENDING_FAIL,
    ENDING_REQUEUE, /* not counted */
    ENDING_DEATH    /* counted, queued again */
} ending_kind;

typedef struct ending {
    ending_kind kind;
    claimed_run run;
    intake in;
    error why;
    double reported;
    skipped_runs skipped; /* by it */
} ending;

struct scheduler {
    store *store;
    scheduler_options o;
    proc_command command;
    live live;
    pthread_t thread;
    int wake_fd;

    pthread_mutex_t submit; /* one submission at a time: the queue's bound is exact */
    pthread_mutex_t lock;   /* down to health */
    pthread_cond_t ready;
    bool stopping, started;
    error start_error;
    scheduler_health health;
    int64_t sign_ms; /* newest PONG or end of a run */

    /* The thread's own. */
    slot slots[SLOTS_MAX];
    int n_slots;
    ending endings[2 * SLOTS_MAX];
    int n_endings;
    bool stuck;       /* an ending could not be written */
    bool again;       /* a run was settled without a worker: look at the queue at once */
    int64_t retry_ms; /* the store is left alone until then */
    int64_t idle_ms;  /* when to tidy the store; 0: nothing to tidy */
    proc_text *text;  /* the corpus sent last */
};

/* log.c */
void scheduler_log(scheduler *s, const char *format, ...) __attribute__((format(printf, 2, 3)));

/* loop.c */
void *scheduler_thread(void *arg);

/* slot.c: one worker and its run. */
void slot_spawn(scheduler *s, slot *t);
bool slot_read(scheduler *s, slot *t); /* false when there is nothing more to read now */
void slot_write(slot *t);
void slot_reap(scheduler *s, slot *t);
void slot_kill(scheduler *s, slot *t, const char *why); /* counts against its run */
void slot_drop(slot *t); /* kills; the run is nobody's business any more */
void slot_give(scheduler *s, slot *t, claimed_run *run); /* takes what is in run */

/* ending.c */
void ending_add(scheduler *s, slot *t, ending_kind kind, const error *why); /* empties t->run */
void ending_write_all(scheduler *s);

#endif

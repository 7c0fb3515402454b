#include "server/queue/proc.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/pidfd.h>
#include <sys/wait.h>
#include <unistd.h>

extern char **environ;

enum { PIPE_BYTES = 1 << 20 };

void proc_text_unref(proc_text *t)
{
    if (!t || --t->references > 0) return;
    free(t->bytes);
    free(t);
}

/* -- command -- */

static err_code no_memory(error *err)
{
    return error_set(err, ERR_MEMORY, "", "no memory for a worker");
}

static err_code split_words(proc_command *c, const char *command, error *err)
{
    size_t n = strlen(command);
    c->words = strdup(command);
    c->argv = calloc(n / 2 + 2, sizeof *c->argv);
    if (!c->words || !c->argv) return no_memory(err);
    int words = 0;
    char *rest = NULL;
    for (char *w = strtok_r(c->words, " ", &rest); w; w = strtok_r(NULL, " ", &rest))
        c->argv[words++] = w;
    if (words == 0) return error_set(err, ERR_RANGE, "", "the worker command is empty");
    return ERR_OK;
}

err_code proc_command_init(proc_command *c, const char *command, error *err)
{
    static char one_thread[] = "OPENBLAS_NUM_THREADS=1";
    size_t n = 0, kept = 0;
    *c = (proc_command){0};
    err_code code = split_words(c, command ? command : "/proc/self/exe worker", err);
    if (code != ERR_OK) return code;
    while (environ[n]) n++;
    c->env = calloc(n + 2, sizeof *c->env);
    if (!c->env) return no_memory(err);
    for (size_t i = 0; i < n; i++)
        if (strncmp(environ[i], "OPENBLAS_NUM_THREADS=", 21) != 0) c->env[kept++] = environ[i];
    c->env[kept] = one_thread;
    return ERR_OK;
}

void proc_command_deinit(proc_command *c)
{
    free(c->argv);
    free(c->env);
    free(c->words);
    *c = (proc_command){0};
}

/* -- life -- */

void proc_init(proc *p)
{
    *p = (proc){.pidfd = -1, .in_fd = -1, .out_fd = -1};
    frame_reader_init(&p->reader, &frame_from_worker);
}

static void close_fd(int *fd)
{
    if (*fd >= 0) close(*fd);
    *fd = -1;
}

static void close_all(proc *p)
{
    close_fd(&p->pidfd);
    close_fd(&p->in_fd);
    close_fd(&p->out_fd);
    for (int i = 0; i < p->n_pieces; i++) {
        free(p->pieces[i].bytes);
        proc_text_unref(p->pieces[i].text);
    }
    frame_reader_deinit(&p->reader);
    proc_init(p);
}

static int spawn(pid_t *pid, const proc_command *c, int in, int out)
{
    posix_spawn_file_actions_t files;
    posix_spawnattr_t attr;
    sigset_t none, all;
    sigemptyset(&none);
    sigfillset(&all);
    int rc = posix_spawn_file_actions_init(&files);
    if (rc != 0) return rc;
    if ((rc = posix_spawnattr_init(&attr)) == 0) {
        /* A group of its own: Ctrl-C at the terminal is for the daemon to answer. */
        posix_spawnattr_setflags(&attr, POSIX_SPAWN_SETSIGMASK | POSIX_SPAWN_SETSIGDEF |
                                            POSIX_SPAWN_SETPGROUP);
        posix_spawnattr_setsigmask(&attr, &none);
        posix_spawnattr_setsigdefault(&attr, &all);
        posix_spawnattr_setpgroup(&attr, 0);
        rc = posix_spawn_file_actions_adddup2(&files, in, 0);
        if (rc == 0) rc = posix_spawn_file_actions_adddup2(&files, out, 1);
        if (rc == 0) rc = posix_spawnp(pid, c->argv[0], &files, &attr, c->argv, c->env);
        posix_spawnattr_destroy(&attr);
    }
    posix_spawn_file_actions_destroy(&files);
    return rc;
}

err_code proc_spawn(proc *p, const proc_command *c, error *err)
{
    int in[2] = {-1, -1}, out[2] = {-1, -1};
    int rc = pipe2(in, O_CLOEXEC) || pipe2(out, O_CLOEXEC) ? errno : 0;
    if (rc == 0) rc = spawn(&p->pid, c, in[0], out[1]);
    close_fd(&in[0]);
    close_fd(&out[1]);
    if (rc == 0 && (p->pidfd = pidfd_open(p->pid, 0)) < 0) {
        rc = errno;
        kill(p->pid, SIGKILL); /* still our child and not waited for: the pid cannot be another's */
        waitpid(p->pid, NULL, 0);
    }
    if (rc != 0) {
        close_fd(&in[1]);
        close_fd(&out[0]);
        p->pid = 0;
        return error_set(err, ERR_IO, "", "cannot start a worker (%s): %s", c->argv[0],
                         strerror(rc));
    }
    p->in_fd = in[1];
    p->out_fd = out[0];
    fcntl(p->in_fd, F_SETFL, O_NONBLOCK);
    fcntl(p->out_fd, F_SETFL, O_NONBLOCK);
    fcntl(p->in_fd, F_SETPIPE_SZ, PIPE_BYTES); /* larger is only faster */
    fcntl(p->out_fd, F_SETPIPE_SZ, PIPE_BYTES);
    return ERR_OK;
}

void proc_kill(proc *p, const char *why)
{
    if (p->pid == 0) return;
    if (!p->why[0]) snprintf(p->why, sizeof p->why, "%s", why);
    pidfd_send_signal(p->pidfd, SIGKILL, NULL, 0);
}

static void describe(char how[PROC_WHY], const siginfo_t *info)
{
    if (info->si_code == CLD_EXITED)
        snprintf(how, PROC_WHY, "ended with status %d", info->si_status);
    else
        snprintf(how, PROC_WHY, "was killed by signal %d (%s)", info->si_status,
                 sigdescr_np(info->si_status) ? sigdescr_np(info->si_status) : "unknown");
}

bool proc_reap(proc *p, char how[PROC_WHY])
{
    siginfo_t info = {0};
    if (p->pid == 0) return false;
    int rc = waitid(P_PIDFD, (id_t)p->pidfd, &info, WEXITED | WNOHANG);
    if (rc == 0 && info.si_pid == 0) return false;
    if (rc != 0 && errno != ECHILD) return false;
    if (p->why[0])
        snprintf(how, PROC_WHY, "%s", p->why);
    else if (rc != 0)
        snprintf(how, PROC_WHY, "ended unseen");
    else
        describe(how, &info);
    close_all(p);
    return true;
}

/* -- writing -- */

bool proc_wants_write(const proc *p)
{
    return p->in_fd >= 0 && p->n_pieces > 0;
}

static bool push(proc *p, unsigned char *bytes, proc_text *text, size_t n)
{
    if (p->n_pieces == PROC_PIECES) return false;
    if (text) text->references++;
    p->pieces[p->n_pieces++] = (proc_piece){.bytes = bytes, .text = text, .n = n};
    return true;
}

err_code
proc_send(proc *p, frame_type type, const void *payload, size_t n, proc_text *text, error *err)
{
    size_t total = n + (text ? text->n : 0);
    if (total > FRAME_MAX || p->n_pieces + 2 > PROC_PIECES)
        return error_set(err, ERR_INTERNAL, "", "a frame that cannot be sent");
    unsigned char *bytes = malloc(FRAME_HEADER + n);
    if (!bytes) return no_memory(err);
    frame_header(bytes, type, total);
    if (n) memcpy(bytes + FRAME_HEADER, payload, n);
    push(p, bytes, NULL, FRAME_HEADER + n);
    if (text) push(p, NULL, text, text->n);
    return ERR_OK;
}

static void drop_first(proc *p)
{
    free(p->pieces[0].bytes);
    proc_text_unref(p->pieces[0].text);
    p->n_pieces--;
    memmove(p->pieces, p->pieces + 1, (size_t)p->n_pieces * sizeof *p->pieces);
}

bool proc_flush(proc *p)
{
    while (proc_wants_write(p)) {
        proc_piece *q = &p->pieces[0];
        const unsigned char *bytes = q->text ? q->text->bytes : q->bytes;
        ssize_t wrote = q->at < q->n ? write(p->in_fd, bytes + q->at, q->n - q->at) : 0;
        if (wrote < 0 && errno == EINTR) continue;
        if (wrote < 0) return errno == EAGAIN || errno == EWOULDBLOCK;
        q->at += (size_t)wrote;
        if (q->at == q->n) drop_first(p);
    }
    return true;
}

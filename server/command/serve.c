#include "server/command/serve.h"

#include "server/command/demo.h"
#include "server/command/token.h"
#include "server/http/http.h"
#include "server/machine/blas.h"
#include "server/machine/systemd.h"
#include "server/machine/version.h"
#include "server/text/text.h"

#include <signal.h>
#include <string.h>
#include <unistd.h>

/* Made in this order, ended in reverse. */
typedef struct daemon_parts {
    const options *options;
    limits lim;
    store *store;
    scheduler *scheduler;
    http *http;
    int listen_fd; /* from the service manager; -1: none */
    bool has_demo;
} daemon_parts;

static limits limits_of(const options *o)
{
    limits lim = limits_default();
    lim.body_bytes = (size_t)o->number[OPTION_max_body];
    lim.runs = (int)o->number[OPTION_max_runs];
    lim.depth = (int)o->number[OPTION_max_depth];
    lim.flops = o->number[OPTION_max_flops];
    if (o->number[OPTION_max_run_memory] > 0)
        lim.peak_bytes = (uint64_t)o->number[OPTION_max_run_memory];
    if (o->number[OPTION_threads] > 0) lim.threads = (int)o->number[OPTION_threads];
    return lim;
}

/* --- what is said at start -------------------------------------------------------------------- */

static void warn(const error *err, const char *what)
{
    fprintf(stderr, "normscope: %s: %s\n", what, err->message);
}

static void print_blas(void)
{
    printf("  BLAS       %s, vectors of this processor: %s\n", blas_kernel(), blas_cpu_vectors());
    if (blas_is_forced())
        printf("             OPENBLAS_CORETYPE forces a slower kernel than this processor has; "
               "--best-blas ignores it\n");
    else if (blas_is_weaker())
        printf(
            "             this OpenBLAS has no kernel for the widest vectors of this processor\n");
}

/* The address as a browser on this machine would write it. */
static void local_address(char out[96], const char *listen, int port)
{
    const char *colon = strrchr(listen, ':');
    int n = colon ? (int)(colon - listen) : 0;
    bool any = n == 0 || strncmp(listen, "0.0.0.0", 7) == 0 || strncmp(listen, "[::]", 4) == 0;
    if (any)
        snprintf(out, 96, "127.0.0.1:%d", port);
    else
        snprintf(out, 96, "%.*s:%d", n < 80 ? n : 80, listen, port);
}

static void print_start(const daemon_parts *d, bool demo)
{
    const options *o = d->options;
    const char *token = o->text[OPTION_token_file];
    char address[96];
    local_address(address, o->text[OPTION_listen], http_port(d->http));
    printf("normscope %s (%s)\n", NORMSCOPE_VERSION, version_build());
    printf("  dashboard  http://%s/\n", address);
    printf("  database   %s\n", o->text[OPTION_db]);
    print_blas();
    if (demo)
        printf(
            "  demo       the demo study has been submitted; the dashboard shows it as it runs\n");
    printf("  try        curl -s http://%s/api/v1/jobs%s -H 'Content-Type: application/json' "
           "-d '{\"model\":\"tiny\",\"strategy\":\"peri_ln\",\"depth\":24}'\n",
           address, token ? " -H \"Authorization: Bearer $TOKEN\"" : "");
    fflush(stdout);
}

/* --- parts ------------------------------------------------------------------------------------ */

/* The first start makes the token and says it, this once. */
static err_code first_token(const options *o, error *err)
{
    const char *path = o->text[OPTION_token_file];
    char token[TOKEN_TEXT];
    if (!o->flag[OPTION_make_token]) return ERR_OK;
    if (!path)
        return error_set(err, ERR_COMBINATION, "", "--make-token needs --token-file as well");
    err_code code = token_make(token, path, false, err);
    if (code == ERR_CONFLICT) return ERR_OK; /* it is there */
    if (code) return code;
    printf("normscope: the access token, shown this once (normscope token --new makes another):\n"
           "  %s\n",
           token);
    fflush(stdout);
    explicit_bzero(token, sizeof token);
    return ERR_OK;
}

static err_code start_http(daemon_parts *d, error *err)
{
    const options *o = d->options;
    err_code code = first_token(o, err);
    if (code) return code;
    http_options settings = {.listen = o->text[OPTION_listen],
                             .listen_fd = d->listen_fd,
                             .static_dir = o->text[OPTION_static_dir],
                             .token_file = o->text[OPTION_token_file],
                             .hosts = o->text[OPTION_hosts],
                             .limits = d->lim,
                             .corpus_bytes = (size_t)o->number[OPTION_max_corpus],
                             .connections = (int)o->number[OPTION_connections],
                             .demo_job = d->has_demo ? demo_job() : NULL};
    return http_start(&d->http, d->store, d->scheduler, &settings, err);
}

static void say(const char *line)
{
    fprintf(stderr, "normscope: %s\n", line);
}

static err_code start_scheduler(daemon_parts *d, error *err)
{
    const options *o = d->options;
    scheduler_options settings = {.worker_command = o->text[OPTION_worker_command],
                                  .workers = (int)o->number[OPTION_workers],
                                  .threads = d->lim.threads,
                                  .queue_runs = (int)o->number[OPTION_queue],
                                  .memory_bytes = (uint64_t)o->number[OPTION_memory],
                                  .log = say};
    return scheduler_start(&d->scheduler, d->store, &settings, err);
}

/* A daemon without a demo is still a daemon: what goes wrong here is only said, unless a text was
 * named. */
static err_code store_demo_text(daemon_parts *d, error *err)
{
    const options *o = d->options;
    const char *path = o->text[OPTION_demo_text];
    err_code code = demo_store_text(d->store, path, (size_t)o->number[OPTION_max_corpus], err);
    d->has_demo = code == ERR_OK;
    if (!code || path) return code;
    if (o->flag[OPTION_demo]) warn(err, "no demo study");
    return ERR_OK;
}

static err_code start(daemon_parts *d, error *err)
{
    bool submitted = false;
    error demo_error;
    err_code code = store_open(&d->store, d->options->text[OPTION_db], err);
    if (!code) code = store_demo_text(d, err);
    if (!code) code = start_scheduler(d, err);
    if (!code) code = start_http(d, err);
    if (code) return code;
    if (d->options->flag[OPTION_demo] && d->has_demo &&
        demo_submit(d->store, d->scheduler, &d->lim, &submitted, &demo_error))
        warn(&demo_error, "no demo study");
    print_start(d, submitted);
    return ERR_OK;
}

static void stop(daemon_parts *d)
{
    if (d->http) http_stop(d->http);
    if (d->scheduler) scheduler_stop(d->scheduler);
    if (d->store) store_close(d->store);
}

/* SIGHUP: another token. true: it was nothing of that kind, and ends the daemon like the others. */
static bool is_end(daemon_parts *d, int signal_number)
{
    const char *path = d->options->text[OPTION_token_file];
    error err;
    if (signal_number != SIGHUP || !path) return true;
    if (http_new_token(d->http, path, &err))
        warn(&err, "the token stays as it was");
    else
        say("the token file has been read again");
    return false;
}

/* A database that failed to write is not trusted again by this process: it ends, and the next one
 * recovers from the log. Returns true then, false when a signal asked for the end. */
static bool wait_for_end(daemon_parts *d, const sigset_t *ends)
{
    const struct timespec second = {.tv_sec = 1};
    for (;;) {
        int signal_number = sigtimedwait(ends, NULL, &second);
        if (signal_number > 0 && is_end(d, signal_number)) return false;
        if (store_healthy(d->store)) {
            systemd_notify("WATCHDOG=1");
            continue;
        }
        say("the database could not be written; this process ends so that the next one recovers");
        return true;
    }
}

int serve_main(const options *o)
{
    daemon_parts d = {.options = o, .lim = limits_of(o), .listen_fd = systemd_take_socket()};
    sigset_t ends;
    struct sigaction hang_up;
    error err = {0};
    if (o->n_arguments) {
        fprintf(stderr, "normscope: serve takes no arguments; options begin with --\n");
        return 2;
    }
    /* Threads inherit the mask, so that signals reach only sigwait. */
    sigemptyset(&ends);
    sigaddset(&ends, SIGINT);
    sigaddset(&ends, SIGTERM);
    if (sigaction(SIGHUP, NULL, &hang_up) == 0 && hang_up.sa_handler != SIG_IGN)
        sigaddset(&ends, SIGHUP); /* under nohup it stays ignored */
    pthread_sigmask(SIG_BLOCK, &ends, NULL);
    signal(SIGPIPE, SIG_IGN);
    blas_single_thread();
    if (start(&d, &err)) {
        stop(&d);
        err.pointer[0] = '\0'; /* the options are not a document */
        text_complain(&err);
        return err.code == ERR_RANGE ? 2 : 1; /* an option that makes no sense is bad input */
    }
    systemd_notify("READY=1");
    bool failed = wait_for_end(&d, &ends);
    systemd_notify("STOPPING=1");
    printf("normscope: stopping\n");
    fflush(stdout);
    stop(&d);
    return failed ? 1 : 0;
}

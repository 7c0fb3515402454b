#include "server/command/run.h"

#include "server/catalogue/gallery_check.h"
#include "server/command/hf_print.h"
#include "server/command/job_text.h"
#include "server/command/run_output.h"
#include "server/command/run_tensors.h"
#include "server/command/run_verdict.h"
#include "server/job/draft.h"
#include "server/job/reader.h"
#include "server/machine/blas.h"
#include "server/machine/block.h"
#include "server/machine/machine.h"
#include "server/machine/provenance.h"
#include "server/text/file_read.h"
#include "server/text/text.h"
#include "server/verdict/coordinates.h"
#include "server/verdict/ranking.h"

#include <cJSON.h>
#include <errno.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { CORPUS_MAX = 1 << 30 };

static volatile sig_atomic_t interrupted;

static void on_interrupt(int signal_number)
{
    (void)signal_number;
    interrupted = 1;
}

typedef struct corpus {
    char name[SPEC_CORPUS_NAME];
    char *bytes;
    size_t n;
    char hash[TEXT_SHA256];
} corpus;

typedef struct run_state {
    const options *options;
    limits lim;
    job job;
    corpus corpora[OPTION_LIST];
    int n_corpora;
    int gallery;         /* row that is run, or -1 */
    gallery_check check; /* of it */
    run_verdict verdict;
    ranking *ranking;        /* NULL: not asked for */
    coordinates coordinates; /* --coordinates */
    json_out table;          /* its result */
    coordinates_verdict slopes;
    run_tensors tensors;
    run_output output;
    FILE *to;
    team team;
    void *memory;
    size_t memory_bytes;
    long long passes; /* of all runs together: they share the block */
    int run;          /* index of the current one */
    bool bar, computing;
    double started, drawn;
} run_state;

static double now_s(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* --- progress bar ----------------------------------------------------------------------------- */

static void draw_bar(run_state *s, const progress *p)
{
    enum { WIDTH = 24 };
    double now = now_s();
    if (!s->bar || now - s->drawn < 0.1) return;
    s->drawn = now;
    double all = (s->run + p->fraction) / s->job.n_runs,
           left = (now - s->started) * (1 - all) / all;
    int filled = (int)(WIDTH * all);
    fprintf(stderr, "\r[%.*s%.*s] %3.0f%%  run %d/%d", filled, "########################",
            WIDTH - filled, "........................", 100 * all, s->run + 1, s->job.n_runs);
    if (p->steps) fprintf(stderr, "  step %d/%d", p->step, p->steps);
    fprintf(stderr, "  layer %d/%d", p->layer, p->layers);
    if (all > 0.01) fprintf(stderr, "  %.0f s left", left);
    fputs("\033[K", stderr);
}

static void clear_bar(run_state *s)
{
    if (s->bar && s->drawn > 0) fputs("\r\033[K", stderr);
}

/* --- what the engine calls -------------------------------------------------------------------- */

static void on_measure(void *user, const measurement *m, size_t n)
{
    run_state *s = user;
    run_output_measure(&s->output, m, n);
    run_verdict_measure(&s->verdict, m, n);
    for (size_t i = 0; i < n && s->ranking; i++)
        ranking_measure(s->ranking, m[i].step, m[i].layer, m[i].site, m[i].metric, m[i].value,
                        m[i].reason);
    for (size_t i = 0; i < n && *s->coordinates.axis; i++)
        coordinates_add(&s->coordinates, m[i].step, m[i].layer, m[i].site, m[i].metric, m[i].value,
                        m[i].reason);
    if (s->gallery >= 0) gallery_check_measure(&s->check, s->run, m, n);
}

static void on_predict(void *user, const prediction *p, size_t n)
{
    run_output_predict(&((run_state *)user)->output, p, n);
}

static void on_step(void *user, const step_record *record)
{
    run_state *s = user;
    run_output_step(&s->output, record);
    if (s->ranking && record->step > 0) ranking_loss(s->ranking, record->loss);
}

static bool on_progress(void *user, const progress *p)
{
    run_state *s = user;
    if (!run_tensors_check(&s->tensors)) return false;
    draw_bar(s, p);
    return !interrupted && !s->output.broken;
}

static bool on_tensor(void *user, enum tensor_when when, int step, const tensor_view *t)
{
    return run_tensors_tensor(&((run_state *)user)->tensors, when, step, t);
}

/* --- corpora ---------------------------------------------------------------------------------- */

static err_code read_corpus(corpus *c, const char *text, error *err)
{
    const char *equals = strchr(text, '=');
    size_t n = equals ? (size_t)(equals - text) : 0;
    if (n == 0 || n >= sizeof c->name || !equals[1])
        return error_set(err, ERR_TYPE, "", "--corpus is %.60s; allowed: NAME=FILE", text);
    memcpy(c->name, text, n);
    c->name[n] = '\0';
    err_code code = file_read(&c->bytes, &c->n, equals + 1, CORPUS_MAX, err);
    if (!code) text_sha256(c->hash, c->bytes, c->n);
    return code;
}

static const corpus *find_corpus(const run_state *s, const char *name)
{
    for (int i = 0; i < s->n_corpora; i++)
        if (strcmp(s->corpora[i].name, name) == 0) return &s->corpora[i];
    return NULL;
}

static err_code read_corpora(run_state *s, error *err)
{
    for (int i = 0; i < s->options->n_list; i++) {
        if (s->options->list[i].id != OPTION_corpus) continue;
        err_code code = read_corpus(&s->corpora[s->n_corpora++], s->options->list[i].text, err);
        if (code) return code;
    }
    for (int i = 0; i < s->job.n_runs; i++) {
        const char *name = s->job.runs[i].spec.data.corpus;
        if (*name && !find_corpus(s, name))
            return error_set(err, ERR_NOT_FOUND, "/data/corpus",
                             "there is no corpus %s here; name its file with --corpus %s=FILE",
                             name, name);
    }
    return ERR_OK;
}

/* --- one run ---------------------------------------------------------------------------------- */

static err_code reserve(run_state *s, size_t bytes, bool huge, error *err)
{
    if (bytes <= s->memory_bytes) return ERR_OK;
    block_unmap(s->memory, s->memory_bytes);
    s->memory = block_map(bytes, huge);
    s->memory_bytes = s->memory ? bytes : 0;
    if (!s->memory)
        return error_set(err, ERR_MEMORY, "", "the system has no %zu bytes of memory for the run",
                         bytes);
    return ERR_OK;
}

static err_code compute(run_state *s, int index, error *err)
{
    const job_run *run = &s->job.runs[index];
    const engine *e = engine_for(run->spec.precision);
    bool dump = s->tensors.has_dump, any = dump || s->tensors.has_save || s->tensors.has_weights;
    const corpus *c = *run->spec.data.corpus ? find_corpus(s, run->spec.data.corpus) : NULL;
    run_input input = {.corpus = c ? (const unsigned char *)c->bytes : NULL,
                       .corpus_bytes = c ? c->n : 0};
    sink to = {.user = s,
               .measure = on_measure,
               .step = on_step,
               .predict = on_predict,
               .progress = on_progress,
               .tensor = any ? on_tensor : NULL,
               .want_probe_tensors = dump};
    run_summary summary;
    estimate cost;
    s->run = index;
    err_code code = e->estimate(&run->spec, s->team.size, dump, &cost, err);
    if (!code) code = reserve(s, cost.peak_bytes, block_worth_huge(s->passes), err);
    if (code) return code;
    run_output_run(&s->output, index);
    if (*s->coordinates.axis)
        coordinates_run(&s->coordinates, run->arm, run->spec.seed, run->spec.depth);
    code = run_verdict_run(&s->verdict, index, err);
    if (!code && s->ranking)
        code =
            ranking_run(s->ranking, run->arm, (double)run->cost.parameters, run->cost.flops, err);
    if (code) return code;
    double began = now_s();
    code = e->run(&run->spec, &input, s->memory, cost.peak_bytes, &s->team, &to, &summary, err);
    if (code && s->tensors.why.code) *err = s->tensors.why;
    if (code) return err->code;
    double wall_ms = 1e3 * (now_s() - began);
    json_out text = {0};
    run_verdict_run_end(&s->verdict, &summary, &text);
    run_output_run_end(&s->output, &summary, wall_ms, c ? c->hash : NULL, text.text);
    json_deinit(&text);
    return any ? run_tensors_commit(&s->tensors, &run->spec, err) : ERR_OK;
}

/* The table goes to standard error, as the verdict does. */
static err_code end_coordinates(run_state *s, error *err)
{
    FILE *to = s->options->flag[OPTION_quiet] ? NULL : stderr;
    json_begin_object(&s->table);
    s->slopes = coordinates_write(&s->table, to, &s->coordinates, true);
    json_end(&s->table);
    s->output.coordinates = s->table.text;
    if (!s->table.failed) return ERR_OK;
    return error_set(err, ERR_MEMORY, "", "no memory for the coordinate check");
}

static err_code compute_all(run_state *s, run_format format, error *err)
{
    char *provenance = provenance_json(s->team.size);
    err_code code = ERR_OK;
    run_output_begin(&s->output, format, s->to, &s->job, provenance);
    s->started = now_s();
    for (int i = 0; i < s->job.n_runs && !code; i++) {
        if (run_verdict_skips(&s->verdict, i))
            run_output_skipped(&s->output, i);
        else
            code = compute(s, i, err);
    }
    clear_bar(s);
    if (!code && *s->coordinates.axis) code = end_coordinates(s, err);
    error lost;
    if (!code) code = run_verdict_end(&s->verdict, err);
    if (!code && s->ranking) code = ranking_end(s->ranking, err);
    bool cut = run_output_end(&s->output, s->verdict.text, code ? err : NULL, &lost) != ERR_OK;
    if (cut && !interrupted) *err = lost, code = lost.code; /* it is also why the engine stopped */
    free(provenance);
    return code;
}

/* --- the command ------------------------------------------------------------------------------ */

static int count_cores(void)
{
    int n = machine_cores();
    return n > TEAM_MAX ? TEAM_MAX : n;
}

static void read_limits(run_state *s)
{
    const options *o = s->options;
    s->lim = limits_default();
    s->lim.threads = o->number[OPTION_threads] > 0 ? (int)o->number[OPTION_threads] : count_cores();
    s->lim.runs = (int)o->number[OPTION_max_runs];
    s->lim.depth = (int)o->number[OPTION_max_depth];
    s->lim.blocks = 0; /* nobody waits for this process but its caller */
    s->lim.flops = o->number[OPTION_max_flops];
    if (o->number[OPTION_max_run_memory] > 0)
        s->lim.peak_bytes = (uint64_t)o->number[OPTION_max_run_memory];
}

/* Groups of metrics that cost half a pass or more, said before anything runs. */
static void print_dear_groups(FILE *to, const job *j)
{
    for (int k = 0; k < GROUP_COUNT; k++) {
        const metric_cost *most = &j->runs[0].cost.metrics[k];
        for (int i = 1; i < j->n_runs; i++)
            if (j->runs[i].cost.metrics[k].factor > most->factor)
                most = &j->runs[i].cost.metrics[k];
        if (most->factor < 0.5) continue;
        fprintf(
            to,
            "normscope: %s costs about %.2g forward and backward passes at each measured step\n",
            most->group, most->factor);
    }
}

static err_code read_job(run_state *s, error *err)
{
    const options *o = s->options;
    char *text = NULL;
    size_t n = 0;
    read_limits(s);
    err_code code = job_text_read(o, s->lim.body_bytes, &text, &n, &s->gallery, err);
    if (!code) code = reader_job(text, n, &s->lim, &s->job, err);
    free(text);
    if (!code && s->job.coverage && !o->flag[OPTION_quiet]) hf_print(stderr, s->job.coverage);
    if (!code && !o->flag[OPTION_quiet]) print_dear_groups(stderr, &s->job);
    return code;
}

static err_code open_tensors(run_state *s, error *err)
{
    const options *o = s->options;
    const char *weights = o->text[OPTION_weights], *save = o->text[OPTION_save_weights],
               *dump = o->text[OPTION_dump];
    if ((save || dump) && s->job.n_runs > 1)
        return error_set(err, ERR_COMBINATION, "",
                         "--%s is for a job of one run; this one has %d (seeds included)",
                         save ? "save-weights" : "dump", s->job.n_runs);
    if (weights && s->job.n_runs > 1)
        return error_set(err, ERR_COMBINATION, "",
                         "--weights is for a job of one run; this one has %d (seeds included)",
                         s->job.n_runs);
    return run_tensors_open(&s->tensors, weights, save, dump, err);
}

static err_code open_output(run_state *s, run_format *format, error *err)
{
    const char *name = s->options->text[OPTION_format], *path = s->options->text[OPTION_out];
    for (*format = 0; *format < RUN_FORMATS && strcmp(run_format_names[*format], name) != 0;)
        ++*format;
    if (*format == RUN_FORMATS)
        return error_set(err, ERR_UNKNOWN_NAME, "", "--format is %.40s; allowed: json, csv, ndjson",
                         name);
    s->to = path ? fopen(path, "we") : stdout;
    return s->to ? ERR_OK
                 : error_set(err, ERR_IO, "", "cannot write %s: %s", path, strerror(errno));
}

static err_code run_job(run_state *s, error *err)
{
    run_format format;
    err_code code = read_job(s, err);
    if (!code) code = read_corpora(s, err);
    if (!code) code = open_tensors(s, err);
    if (!code) code = open_output(s, &format, err);
    if (!code) code = team_start(&s->team, s->lim.threads, err);
    if (!code) code = run_verdict_init(&s->verdict, &s->job, err);
    if (!code) s->verdict.given_weights = s->tensors.has_weights;
    if (!code && s->options->flag[OPTION_rank])
        code = ranking_new(&s->ranking, s->options->text[OPTION_by], err);
    if (!code && s->options->text[OPTION_coordinates])
        code = coordinates_init(&s->coordinates, s->options->text[OPTION_coordinates],
                                *s->job.runs[0].arm ? s->job.runs[0].arm : "{}", err);
    if (code) return code;
    s->bar = !s->options->flag[OPTION_quiet] && isatty(STDERR_FILENO);
    for (int i = 0; i < s->job.n_runs; i++) s->passes += s->job.runs[i].spec.train.steps + 1;
    s->computing = true;
    if (s->gallery >= 0) gallery_check_init(&s->check, &gallery_table[s->gallery], &s->job);
    return compute_all(s, format, err);
}

static void close_all(run_state *s)
{
    team_stop(&s->team);
    if (s->to && s->to != stdout) fclose(s->to);
    block_unmap(s->memory, s->memory_bytes);
    run_tensors_close(&s->tensors);
    run_verdict_deinit(&s->verdict);
    ranking_free(s->ranking);
    coordinates_deinit(&s->coordinates);
    json_deinit(&s->table);
    for (int i = 0; i < s->n_corpora; i++) free(s->corpora[i].bytes);
    job_deinit(&s->job);
}

/* Everything that a person who wrote the job or the command line can mend. */
static bool is_input_error(err_code code)
{
    return code <= ERR_NOT_FOUND;
}

/* What came of what was expected, when a job of the gallery has run. */
static int finish(const run_state *s)
{
    bool unexpected = s->gallery >= 0 && gallery_check_print(&s->check, stderr) > 0;
    const options *o = s->options;
    if (!o->flag[OPTION_quiet]) study_print(stderr, &s->verdict.study);
    if (s->ranking) ranking_print(s->ranking, stderr);
    if (unexpected) return RUN_UNEXPECTED;
    if (!o->flag[OPTION_check]) return 0;
    if (s->slopes == COORDINATES_FAIL) return RUN_UNEXPECTED;
    return run_verdict_status(s->verdict.study.level, o->flag[OPTION_strict]);
}

int run_main(const options *o)
{
    struct sigaction action = {.sa_handler = on_interrupt, .sa_flags = (int)SA_RESETHAND};
    error err = {0};
    if (o->n_arguments > 1 || (o->n_arguments == 0 && !o->text[OPTION_hf])) {
        fprintf(stderr, "normscope: run takes one job file, - for standard input, gallery:NAME, or "
                        "--hf\n");
        return 2;
    }
    run_state *s = calloc(1, sizeof *s);
    if (!s) return 1;
    s->options = o;
    s->gallery = -1;
    blas_single_thread();
    sigaction(SIGINT, &action, NULL);
    sigaction(SIGTERM, &action, NULL);
    err_code code = run_job(s, &err);
    bool bad_input = is_input_error(code) || (!s->computing && code == ERR_IO);
    int status = code ? 1 : finish(s);
    close_all(s);
    free(s);
    if (!code) return status;
    text_complain(&err);
    return bad_input ? 2 : 1;
}

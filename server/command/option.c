#include "server/command/option.h"

#include "core/base/registry.h"

#include <ctype.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>

enum {
    SERVE = 1 << COMMAND_serve,
    RUN = 1 << COMMAND_run,
    RANK = 1 << COMMAND_rank,
    PREDICT = 1 << COMMAND_predict,
    DESCRIBE = 1 << COMMAND_describe,
    SCHEMA = 1 << COMMAND_schema,
    BENCH = 1 << COMMAND_bench,
    BACKUP = 1 << COMMAND_backup,
    TOKEN = 1 << COMMAND_token,
    HEALTH = 1 << COMMAND_health,
    COMPLETION = 1 << COMMAND_completion,
    MANUAL = 1 << COMMAND_manual,
    VERSION = 1 << COMMAND_version,
    WORKER = 1 << COMMAND_worker
};

typedef enum option_type { TEXT, LIST, FLAG, INTEGER, BYTES, NUMBER } option_type;

typedef struct option {
    const char *name, *argument, *fallback, *doc;
    double min, max;
    unsigned commands;
    option_type type;
} option;

static const option table[OPTION_COUNT] = {
#define COMMAND(name, arguments, summary)
#define OPTION(id, name, type, argument, commands, fallback, min, max, doc)                        \
    {name, argument, fallback, doc, min, max, commands, type},
#include "server/command/option.def"
#undef COMMAND
#undef OPTION
};

static const struct {
    const char *name, *arguments, *summary;
} commands[COMMAND_COUNT] = {
#define COMMAND(name, arguments, summary) {#name, arguments, summary},
#define OPTION(id, name, type, argument, commands, fallback, min, max, doc)
#include "server/command/option.def"
#undef COMMAND
#undef OPTION
};

/* --- suggestions ------------------------------------------------------------------------------ */

enum { NAMES = (int)OPTION_COUNT + (int)COMMAND_COUNT };

static const char *nearest_option(const char *name, option_command command)
{
    entry entries[NAMES];
    const entry *rows[NAMES];
    registry names = {.rows = rows};
    for (int i = 0; i < OPTION_COUNT; i++) {
        if (!(table[i].commands & 1u << command)) continue;
        entries[names.n] = (entry){.name = table[i].name};
        rows[names.n] = &entries[names.n];
        names.n++;
    }
    int near = registry_nearest(&names, name);
    return near < 0 ? "help" : rows[near]->name;
}

static err_code unknown_command(const char *name, error *err)
{
    entry entries[NAMES];
    const entry *rows[NAMES];
    for (int i = 0; i < COMMAND_COUNT; i++) {
        entries[i] = (entry){.name = commands[i].name};
        rows[i] = &entries[i];
    }
    int near = registry_nearest(&(registry){.rows = rows, .n = COMMAND_COUNT}, name);
    char allowed[160] = "";
    size_t n = 0;
    for (int i = 0; i < COMMAND_COUNT && n < sizeof allowed; i++)
        if (i != COMMAND_worker)
            n += (size_t)snprintf(allowed + n, sizeof allowed - n, "%s%s", n ? ", " : "",
                                  commands[i].name);
    return error_set(err, ERR_UNKNOWN_NAME, "", "no command %.24s; %s%s%sallowed: %s", name,
                     near < 0 ? "" : "did you mean ", near < 0 ? "" : commands[near].name,
                     near < 0 ? "" : "? ", allowed);
}

/* --- values ----------------------------------------------------------------------------------- */

static bool read_number(double *out, const char *text, option_type type)
{
    char *end;
    if (!*text || isspace((unsigned char)*text)) return false;
    *out = strtod(text, &end);
    if (end == text || !isfinite(*out)) return false;
    if (type == BYTES && *end) {
        static const char suffixes[] = "KMGT";
        const char *suffix = strchr(suffixes, toupper((unsigned char)*end));
        if (!suffix) return false;
        *out = ldexp(*out, 10 * (int)(suffix - suffixes + 1));
        end++;
        if (*end == 'i' || *end == 'B') end++;
        if (*end == 'B' && end[-1] == 'i') end++;
    }
    return *end == '\0' && (type == NUMBER || *out == floor(*out));
}

static err_code read_value(options *out, int id, const char *what, const char *text, error *err)
{
    const option *o = &table[id];
    double value;
    out->text[id] = text;
    switch (o->type) {
    case INTEGER:
    case BYTES:
    case NUMBER:
        if (!read_number(&value, text, o->type))
            return error_set(err, ERR_TYPE, "", "%s is %.60s; allowed: a number, %.15g to %.15g%s",
                             what, text, o->min, o->max,
                             o->type == BYTES ? ", with K, M, G or T" : "");
        if (value < o->min || value > o->max)
            return error_set(err, ERR_RANGE, "", "%s is %.60s; allowed: %.15g to %.15g", what, text,
                             o->min, o->max);
        out->number[id] = value;
        return ERR_OK;
    case LIST:
        if (out->n_list == OPTION_LIST)
            return error_set(err, ERR_RANGE, "", "%s is given more than %d times", what,
                             OPTION_LIST);
        out->list[out->n_list].id = (option_id)id;
        out->list[out->n_list++].text = text;
        return ERR_OK;
    default:
        return ERR_OK;
    }
}

static err_code set_flag(options *out, int id, const char *what, const char *text, error *err)
{
    bool on = strcmp(text, "1") == 0 || strcmp(text, "true") == 0 || strcmp(text, "yes") == 0;
    bool off =
        !*text || strcmp(text, "0") == 0 || strcmp(text, "false") == 0 || strcmp(text, "no") == 0;
    if (!on && !off)
        return error_set(err, ERR_TYPE, "", "%s is %.60s; allowed: 1 or 0", what, text);
    out->flag[id] = on;
    return ERR_OK;
}

/* --- environment and fallbacks ---------------------------------------------------------------- */

void option_environment_name(char out[64], const char *name)
{
    int n = snprintf(out, 64, "NORMSCOPE_%s", name);
    for (int i = 0; i < n && i < 63; i++)
        out[i] = out[i] == '-' ? '_' : (char)toupper((unsigned char)out[i]);
}

static err_code read_environment(options *out, int id, error *err)
{
    char name[64];
    option_environment_name(name, table[id].name);
    const char *text = getenv(name);
    if (!text || out->given[id]) return ERR_OK;
    if (table[id].type != FLAG && !*text) return ERR_OK;
    out->given[id] = true;
    if (table[id].type == FLAG) return set_flag(out, id, name, text, err);
    return read_value(out, id, name, text, err);
}

static err_code fill(options *out, error *err)
{
    for (int id = 0; id < OPTION_COUNT; id++) {
        const option *o = &table[id];
        if (!(o->commands & 1u << out->command) || id == OPTION_help) continue;
        err_code code = read_environment(out, id, err);
        if (!code && !out->given[id] && o->fallback)
            code = read_value(out, id, o->name, o->fallback, err);
        if (code) return code;
    }
    return ERR_OK;
}

/* --- command line ----------------------------------------------------------------------------- */

static int find_option(const char *name, size_t length, option_command command)
{
    for (int id = 0; id < OPTION_COUNT; id++)
        if ((table[id].commands & 1u << command) && strlen(table[id].name) == length &&
            memcmp(table[id].name, name, length) == 0)
            return id;
    return -1;
}

/* At argv[*i], which begins with "--". */
static err_code read_option(options *out, int argc, char *const *argv, int *i, error *err)
{
    const char *name = argv[*i] + 2, *equals = strchr(name, '=');
    size_t length = equals ? (size_t)(equals - name) : strlen(name);
    int id = find_option(name, length, out->command);
    if (id < 0)
        return error_set(err, ERR_UNKNOWN_FIELD, "", "%s has no option --%.*s; did you mean --%s?",
                         commands[out->command].name, length < 40 ? (int)length : 40, name,
                         nearest_option(name, out->command));
    char what[64];
    snprintf(what, sizeof what, "--%s", table[id].name);
    out->given[id] = true;
    if (table[id].type == FLAG) return set_flag(out, id, what, equals ? equals + 1 : "1", err);
    if (!equals && *i + 1 == argc)
        return error_set(err, ERR_MISSING_FIELD, "", "%s needs a value: %s", what,
                         table[id].argument);
    return read_value(out, id, what, equals ? equals + 1 : argv[++*i], err);
}

static err_code read_argument(options *out, const char *text, error *err)
{
    if (out->n_arguments == OPTION_ARGUMENTS)
        return error_set(err, ERR_RANGE, "", "there are more than %d arguments", OPTION_ARGUMENTS);
    out->arguments[out->n_arguments++] = text;
    return ERR_OK;
}

static option_command find_command(const char *name)
{
    int command = 0;
    while (command < COMMAND_COUNT && strcmp(commands[command].name, name) != 0) command++;
    return (option_command)command;
}

err_code option_parse(options *out, int argc, char *const *argv, error *err)
{
    *out = (options){.command = COMMAND_COUNT};
    const char *name = argc > 1 ? argv[1] : "help";
    if (strcmp(name, "--version") == 0) name = "version";
    if (strcmp(name, "--help") == 0 || strcmp(name, "-h") == 0 || strcmp(name, "help") == 0)
        return ERR_OK;
    out->command = find_command(name);
    if (out->command == COMMAND_COUNT) return unknown_command(name, err);
    bool only_arguments = false;
    err_code code = ERR_OK;
    for (int i = 2; i < argc && !code; i++) {
        if (!only_arguments && strcmp(argv[i], "--") == 0)
            only_arguments = true;
        else if (!only_arguments && strcmp(argv[i], "-h") == 0)
            out->flag[OPTION_help] = true;
        else if (!only_arguments && strncmp(argv[i], "--", 2) == 0)
            code = read_option(out, argc, argv, &i, err);
        else if (!only_arguments && argv[i][0] == '-' && argv[i][1])
            code = error_set(err, ERR_UNKNOWN_FIELD, "",
                             "%.40s is no option; options begin with --", argv[i]);
        else
            code = read_argument(out, argv[i], err);
    }
    return code ? code : fill(out, err);
}

/* --- the table, for others ----------------------------------------------------------------------
 */

bool option_row_of(option_row *out, option_command c, int id)
{
    const option *o = &table[id];
    if (!(o->commands & 1u << c)) return false;
    *out = (option_row){o->name, o->argument, o->fallback, o->doc, o->type == LIST};
    return true;
}

const char *option_command_name(option_command c)
{
    return commands[c].name;
}

const char *option_command_arguments(option_command c)
{
    return commands[c].arguments;
}

const char *option_command_summary(option_command c)
{
    return commands[c].summary;
}

/* --- help ------------------------------------------------------------------------------------- */

static void program_help(FILE *to)
{
    fputs("Normscope: will this network, with this normalization strategy, at this depth, carry "
          "signal\n"
          "and gradient?\n\n"
          "usage: normscope COMMAND [OPTIONS]\n\n",
          to);
    for (int i = 0; i < COMMAND_COUNT; i++)
        if (i != COMMAND_worker)
            fprintf(to, "  %-10s %-14s %s\n", commands[i].name, commands[i].arguments,
                    commands[i].summary);
    fputs("\nnormscope COMMAND --help lists the options of a command.\n", to);
}

void option_help(FILE *to, option_command command)
{
    if (command == COMMAND_COUNT) {
        program_help(to);
        return;
    }
    fprintf(to, "usage: normscope %s [OPTIONS] %s\n\n%s\n\n", commands[command].name,
            commands[command].arguments, commands[command].summary);
    for (int id = 0; id < OPTION_COUNT; id++) {
        const option *o = &table[id];
        if (!(o->commands & 1u << command)) continue;
        char left[64];
        snprintf(left, sizeof left, "--%s%s%s", o->name, *o->argument ? " " : "", o->argument);
        fprintf(to, "  %-28s %s", left, o->doc);
        if (o->fallback && strcmp(o->fallback, "0") != 0) fprintf(to, " (default %s)", o->fallback);
        fputc('\n', to);
    }
    fputs("\nEach option has a twin in the environment: --max-runs is NORMSCOPE_MAX_RUNS.\n", to);
}

/* The command line and its twins in the environment, from one table (server/command/option.def).
 *
 * An option on the command line wins over the environment, that over the fallback of its row.
 * Values are borrowed from argv and the environment. Errors say which option, what it was given and
 * what is allowed; pointer is "".
 */
#ifndef SERVER_COMMAND_OPTION_H
#define SERVER_COMMAND_OPTION_H

#include "core/base/error.h"

#include <stdbool.h>
#include <stdio.h>

typedef enum option_command {
#define COMMAND(name, arguments, summary) COMMAND_##name,
#define OPTION(id, name, type, argument, commands, fallback, min, max, doc)
#include "server/command/option.def"
#undef COMMAND
#undef OPTION
    COMMAND_COUNT
} option_command;

typedef enum option_id {
#define COMMAND(name, arguments, summary)
#define OPTION(id, name, type, argument, commands, fallback, min, max, doc) OPTION_##id,
#include "server/command/option.def"
#undef COMMAND
#undef OPTION
    OPTION_COUNT
} option_id;

enum { OPTION_LIST = 64, OPTION_ARGUMENTS = 64 };

typedef struct options {
    option_command command;
    bool given[OPTION_COUNT]; /* on the command line or in the environment */
    bool flag[OPTION_COUNT];
    const char *text[OPTION_COUNT]; /* NULL: not given and no fallback */
    double number[OPTION_COUNT];    /* INTEGER, BYTES, NUMBER */
    struct {
        option_id id;
        const char *text;
    } list[OPTION_LIST]; /* values of the LIST options, in their order */
    int n_list;
    const char *arguments[OPTION_ARGUMENTS]; /* what is no option */
    int n_arguments;
} options;

/* argv[1] names the command; COMMAND_COUNT in out->command and ERR_OK: help was asked for, or there
 * are no arguments. ERR_UNKNOWN_NAME, ERR_UNKNOWN_FIELD, ERR_MISSING_FIELD, ERR_TYPE, ERR_RANGE. */
err_code option_parse(options *out, int argc, char *const *argv, error *err);

/* The table itself, for completions and the manual page. */
typedef struct option_row {
    const char *name, *argument, *fallback, *doc; /* argument "": a flag; fallback may be NULL */
    bool repeats;
} option_row;

bool option_row_of(option_row *out, option_command c, int id); /* false: none of that command */
const char *option_command_name(option_command c);
const char *option_command_arguments(option_command c);
const char *option_command_summary(option_command c);
void option_environment_name(char out[64], const char *name);

/* The help of one command, or with COMMAND_COUNT of the program. */
void option_help(FILE *to, option_command command);

#endif

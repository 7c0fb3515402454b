#include "server/command/manual.h"

#include "server/machine/version.h"

#include <string.h>

/* Text in roff: a backslash and a hyphen stand for themselves, and no line begins with a control
 * character (all text here stands after something else). */
static void text(const char *s)
{
    for (; *s; s++) {
        if (*s == '\\')
            fputs("\\e", stdout);
        else if (*s == '-')
            fputs("\\-", stdout);
        else
            putchar(*s);
    }
}

static void option_entry(const option_row *o)
{
    printf(".TP\n\\fB");
    text("--");
    text(o->name);
    printf("\\fR");
    if (*o->argument) {
        printf(" \\fI");
        text(o->argument);
        printf("\\fR");
    }
    printf("\n\\&");
    text(o->doc);
    if (o->repeats) printf("; may be given several times");
    if (o->fallback && strcmp(o->fallback, "0") != 0) {
        printf(" (default ");
        text(o->fallback);
        printf(")");
    }
    putchar('\n');
}

static void command_section(option_command c)
{
    option_row o;
    printf(".SS normscope %s ", option_command_name(c));
    text(option_command_arguments(c));
    printf("\n\\&");
    text(option_command_summary(c));
    putchar('\n');
    for (int id = 0; id < OPTION_COUNT; id++)
        if (id != OPTION_help && option_row_of(&o, c, id)) option_entry(&o);
}

static const char top[] =
    ".SH NAME\n"
    "normscope \\- will this network, with this normalization, at this depth, carry signal and "
    "gradient?\n"
    ".SH SYNOPSIS\n"
    ".B normscope\n"
    ".I COMMAND\n"
    "[\\fIOPTIONS\\fR]\n"
    ".SH DESCRIPTION\n"
    "Normscope takes a small JSON job (a model, a normalization strategy, a depth), builds that "
    "network,\n"
    "computes real forward and backward passes and a few optimizer steps, and shows how variance, "
    "gradient\n"
    "and rank develop over depth.\n"
    ".PP\n"
    "The daemon (\\fBnormscope serve\\fR) answers over HTTP, keeps results in one SQLite file and "
    "shows them\n"
    "on a dashboard; \\fBnormscope run\\fR computes a job here and now, with the same engine and "
    "the "
    "same numbers.\n"
    ".SH COMMANDS AND OPTIONS\n"
    "Sizes take K, M, G or T. Every command has \\fB\\-\\-help\\fR.\n";

static const char bottom[] =
    ".SH ENVIRONMENT\n"
    "Each option has a twin: \\fB\\-\\-max\\-body\\fR is \\fBNORMSCOPE_MAX_BODY\\fR. An option on "
    "the command line\n"
    "wins over the environment. Flags take 1 or 0.\n"
    ".TP\n"
    ".B OPENBLAS_CORETYPE\n"
    "Forces a kernel of OpenBLAS; \\fB\\-\\-best\\-blas\\fR ignores it where the processor could "
    "do "
    "better.\n"
    ".TP\n"
    ".BR NOTIFY_SOCKET \", \" LISTEN_FDS \", \" LISTEN_PID\n"
    "As service managers set them: readiness, watchdog, a listening socket that is handed over "
    "(see\n"
    ".BR sd_notify (3)\n"
    "and\n"
    ".BR sd_listen_fds (3)).\n"
    ".SH SIGNALS\n"
    ".TP\n"
    ".BR SIGTERM \", \" SIGINT\n"
    "The daemon stops within seconds; runs that were running are queued again at the next start.\n"
    ".TP\n"
    ".B SIGHUP\n"
    "The daemon reads its token file again; without one it stops.\n"
    ".SH EXIT STATUS\n"
    ".TP\n"
    ".B 0\n"
    "All is well.\n"
    ".TP\n"
    ".B 1\n"
    "Something failed; one line on standard error says what.\n"
    ".TP\n"
    ".B 2\n"
    "The job or the command line was refused.\n"
    ".TP\n"
    ".B 3\n"
    "normscope run \\-\\-check \\-\\-strict: the verdict is warn.\n"
    ".TP\n"
    ".B 4\n"
    "normscope run \\-\\-check: the verdict is fail; a job of the gallery did not come out as "
    "expected.\n"
    ".SH FILES\n"
    ".TP\n"
    ".I normscope.db\n"
    "The results, plain SQLite in WAL mode, with the files\n"
    ".I normscope.db\\-wal\n"
    "and\n"
    ".I normscope.db\\-shm\n"
    "beside it while the daemon runs.\n"
    ".TP\n"
    ".I /etc/default/normscope\n"
    "Options of the daemon under systemd, as variables of the environment.\n"
    ".TP\n"
    ".I /var/lib/normscope\n"
    "Where the daemon under systemd keeps database and token.\n"
    ".SH EXAMPLES\n"
    "A daemon with the demo study on http://127.0.0.1:8080:\n"
    ".PP\n"
    ".EX\n"
    "    normscope serve \\-\\-best\\-blas \\-\\-demo\n"
    ".EE\n"
    ".PP\n"
    "A job without a server, as CSV:\n"
    ".PP\n"
    ".EX\n"
    "    echo '{\"strategy\": \"peri_ln\", \"depth\": 12}' | normscope run \\- \\-\\-format csv\n"
    ".EE\n"
    ".PP\n"
    "What a job can say:\n"
    ".PP\n"
    ".EX\n"
    "    normscope describe fields\n"
    ".EE\n"
    ".SH COPYRIGHT\n" NORMSCOPE_COPYRIGHT ".\n"
    "Licence " NORMSCOPE_LICENCE ": free to use, change and pass on with its notice, without any "
    "warranty.\n"
    ".SH SEE ALSO\n"
    ".BR sqlite3 (1),\n"
    ".BR systemctl (1)\n";

int manual_main(const options *o)
{
    if (o->n_arguments) {
        fputs("normscope: manual takes no arguments\n", stderr);
        return 2;
    }
    printf(".\\\" made by: normscope manual\n"
           ".TH NORMSCOPE 1 \"\" \"normscope " NORMSCOPE_VERSION "\" \"User Commands\"\n%s",
           top);
    for (int c = 0; c < COMMAND_COUNT; c++)
        if (c != COMMAND_worker) command_section((option_command)c);
    fputs(bottom, stdout);
    return fflush(stdout) == 0 ? 0 : 1;
}

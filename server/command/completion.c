#include "server/command/completion.h"

#include "server/catalogue/gallery.h"
#include "server/job/choice.h"
#include "server/job/field.h"
#include "server/job/preset.h"
#include "server/job/strategy.h"

#include <string.h>

/* --- what is offered, for every shell --------------------------------------------------------- */

/* Words with spaces between them, "json|csv" among them; "" when values are not words. */
typedef struct words {
    char text[4096];
} words;

static void add(words *w, const char *before, const char *name, size_t n)
{
    size_t used = strlen(w->text);
    snprintf(w->text + used, sizeof w->text - used, "%s%s%.*s", used ? " " : "", before, (int)n,
             name);
}

static void add_names(words *w, const char *before, const registry *r)
{
    for (int i = 0; i < r->n; i++) add(w, before, r->rows[i]->name, strlen(r->rows[i]->name));
}

static void add_choices(words *w, const char *text)
{
    for (const char *p = text; strchr(text, '|') && *p; p += strcspn(p, "|"), p += *p == '|')
        if (*p >= 'a' && *p <= 'z') add(w, "", p, strcspn(p, "|"));
}

static void option_words(words *w, const option_row *o)
{
    *w = (words){0};
    add_choices(w, o->argument);
    if (strcmp(o->name, "strategy") == 0) add_names(w, "", &strategy_registry);
}

static void argument_words(words *w, option_command c)
{
    static const registry *const special[] = {&strategy_registry, &preset_registry,
                                              &gallery_registry};
    const registry *r;
    *w = (words){0};
    if (c == COMMAND_run) {
        add_names(w, "gallery:", &gallery_registry);
    } else if (c == COMMAND_describe) {
        add(w, "", "fields", 6);
        add(w, "", "hf", 2);
        for (int i = 0; i < 3; i++) add(w, "", special[i]->kind, strlen(special[i]->kind));
        for (int i = 0; (r = choice_registry_at(i)); i++)
            if (r != special[0] && r != special[1] && r != special[2])
                add(w, "", r->kind, strlen(r->kind));
    } else {
        char plain[64];
        const char *text = option_command_arguments(c);
        size_t n = 0;
        for (; *text && n < sizeof plain - 1; text++)
            if (*text != '[' && *text != ']') plain[n++] = *text;
        plain[n] = '\0';
        add_choices(w, plain);
    }
}

static bool takes_files(option_command c)
{
    const char *arguments = option_command_arguments(c);
    return strstr(arguments, ".json") || strstr(arguments, "FILE") || c == COMMAND_describe;
}

static bool is_file(const option_row *o)
{
    return strstr(o->argument, "FILE") || strcmp(o->argument, "DIR") == 0;
}

/* The commands that people give, in their order; -1 at the end. */
static int next_command(int c)
{
    do c++;
    while (c == COMMAND_worker);
    return c < COMMAND_COUNT ? c : -1;
}

/* In single quotes for a shell; brackets and colons mean something to zsh. */
static void print_quoted(const char *text)
{
    for (; *text; text++) {
        if (*text == '\'')
            fputs("'\\''", stdout);
        else if (strchr("[]:\\", *text))
            printf("\\%c", *text);
        else
            putchar(*text);
    }
}

/* --- bash ------------------------------------------------------------------------------------- */

static void bash_values(option_command c)
{
    option_row o;
    words w;
    for (int id = 0; id < OPTION_COUNT; id++) {
        if (!option_row_of(&o, c, id) || !*o.argument) continue;
        option_words(&w, &o);
        printf("    %s:--%s)\n", option_command_name(c), o.name);
        if (w.text[0])
            printf("        COMPREPLY=($(compgen -W '%s' -- \"$cur\")) ;;\n", w.text);
        else if (is_file(&o))
            printf("        COMPREPLY=($(compgen -f -- \"$cur\")) ;;\n");
        else
            printf("        COMPREPLY=() ;;\n");
    }
}

static void bash_words(option_command c)
{
    option_row o;
    words w;
    argument_words(&w, c);
    printf("    %s)\n        words='%s'\n        options='", option_command_name(c), w.text);
    const char *space = "";
    for (int id = 0; id < OPTION_COUNT; id++) {
        if (!option_row_of(&o, c, id)) continue;
        printf("%s--%s", space, o.name);
        space = " ";
    }
    printf("'\n        files=%d ;;\n", takes_files(c));
}

static void bash(void)
{
    fputs("# bash completion of normscope; made by: normscope completion bash\n"
          "_normscope() {\n"
          "    local cur=${COMP_WORDS[COMP_CWORD]} prev=${COMP_WORDS[COMP_CWORD-1]}\n"
          "    local command=${COMP_WORDS[1]} words= options= files=0\n"
          "    COMPREPLY=()\n"
          "    if [ \"$COMP_CWORD\" -eq 1 ]; then\n"
          "        COMPREPLY=($(compgen -W '",
          stdout);
    for (int c = next_command(-1); c >= 0; c = next_command(c))
        printf("%s ", option_command_name((option_command)c));
    fputs("--help --version' -- \"$cur\"))\n        return\n    fi\n"
          "    case $command:$prev in\n",
          stdout);
    for (int c = next_command(-1); c >= 0; c = next_command(c)) bash_values((option_command)c);
    fputs("    *) false ;;\n    esac && return\n    case $command in\n", stdout);
    for (int c = next_command(-1); c >= 0; c = next_command(c)) bash_words((option_command)c);
    fputs("    esac\n"
          "    if [[ $cur == -* ]]; then\n"
          "        COMPREPLY=($(compgen -W \"$options\" -- \"$cur\"))\n"
          "    else\n"
          "        COMPREPLY=($(compgen -W \"$words\" -- \"$cur\"))\n"
          "        [ \"$files\" -eq 0 ] || COMPREPLY+=($(compgen -f -- \"$cur\"))\n"
          "    fi\n"
          "}\n"
          "complete -o filenames -F _normscope normscope\n",
          stdout);
}

/* --- zsh -------------------------------------------------------------------------------------- */

static void zsh_option(const option_row *o)
{
    words w;
    option_words(&w, o);
    printf("            '%s--%s%s[", o->repeats ? "*" : "", o->name, *o->argument ? "=" : "");
    print_quoted(o->doc);
    printf("]");
    if (*o->argument) {
        printf(":");
        print_quoted(o->argument);
        if (w.text[0])
            printf(":(%s)", w.text);
        else
            printf(":%s", strcmp(o->argument, "DIR") == 0 ? "_directories"
                          : is_file(o)                    ? "_files"
                                                          : " ");
    }
    printf("' \\\n");
}

static void zsh_command(option_command c)
{
    option_row o;
    words w;
    argument_words(&w, c);
    printf("    %s)\n        _arguments \\\n", option_command_name(c));
    for (int id = 0; id < OPTION_COUNT; id++)
        if (option_row_of(&o, c, id)) zsh_option(&o);
    if (takes_files(c))
        printf("            '*:argument:{_alternative \"words:word:(%s)\" \"files:file:_files\"}'",
               strcmp(w.text, "") ? w.text : "-");
    else
        printf("            '*:argument:(%s)'", w.text);
    printf(" ;;\n");
}

static void zsh(void)
{
    fputs("#compdef normscope\n"
          "# zsh completion of normscope; made by: normscope completion zsh\n"
          "local -a commands\n"
          "commands=(\n",
          stdout);
    for (int c = next_command(-1); c >= 0; c = next_command(c)) {
        printf("    '%s:", option_command_name((option_command)c));
        print_quoted(option_command_summary((option_command)c));
        printf("'\n");
    }
    fputs(")\n"
          "if ((CURRENT == 2)); then\n"
          "    _describe command commands\n"
          "else\n"
          "    local command=$words[2]\n"
          "    shift words\n"
          "    ((CURRENT--))\n"
          "    case $command in\n",
          stdout);
    for (int c = next_command(-1); c >= 0; c = next_command(c)) zsh_command((option_command)c);
    fputs("    esac\nfi\n", stdout);
}

/* --- fish ------------------------------------------------------------------------------------- */

static void fish_text(const char *text)
{
    putchar('\'');
    for (; *text; text++) {
        if (*text == '\'' || *text == '\\') putchar('\\');
        putchar(*text);
    }
    putchar('\'');
}

static void fish_command(option_command c)
{
    option_row o;
    words w;
    argument_words(&w, c);
    printf("complete -c normscope -f -n __fish_use_subcommand -a %s -d ", option_command_name(c));
    fish_text(option_command_summary(c));
    putchar('\n');
    for (int id = 0; id < OPTION_COUNT; id++) {
        words values;
        if (!option_row_of(&o, c, id)) continue;
        option_words(&values, &o);
        printf("complete -c normscope -n '__fish_seen_subcommand_from %s' -l %s",
               option_command_name(c), o.name);
        if (*o.argument) printf(" %s", is_file(&o) && !values.text[0] ? "-r -F" : "-x");
        if (values.text[0]) printf(" -a '%s'", values.text);
        printf(" -d ");
        fish_text(o.doc);
        putchar('\n');
    }
    if (w.text[0] || !takes_files(c))
        printf("complete -c normscope -n '__fish_seen_subcommand_from %s' %s -a '%s'\n",
               option_command_name(c), takes_files(c) ? "-F" : "-f", w.text);
}

static void fish(void)
{
    printf("# fish completion of normscope; made by: normscope completion fish\n");
    for (int c = next_command(-1); c >= 0; c = next_command(c)) fish_command((option_command)c);
}

int completion_main(const options *o)
{
    static const struct {
        const char *name;
        void (*print)(void);
    } shells[] = {{"bash", bash}, {"zsh", zsh}, {"fish", fish}};
    for (size_t i = 0; i < sizeof shells / sizeof *shells; i++)
        if (o->n_arguments == 1 && strcmp(o->arguments[0], shells[i].name) == 0) {
            shells[i].print();
            return fflush(stdout) == 0 ? 0 : 1;
        }
    fputs("normscope: completion takes bash, zsh or fish\n", stderr);
    return 2;
}

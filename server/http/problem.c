/* The code is ours and stable, the title its sentence, the detail says what was found and what is
 * allowed. */
#include "server/http/problem.h"

#include <ctype.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

/* One row per err_code. in_document: the fault is a place in the posted document, so the pointer is
 * part of the reply also when it is "" (the whole of it). */
static const struct {
    int status;
    bool in_document;
    int retry_after_s;
} error_table[ERR_COUNT] = {
    [ERR_JSON] = {400, true, 0},          [ERR_TYPE] = {422, true, 0},
    [ERR_UNKNOWN_FIELD] = {422, true, 0}, [ERR_DUPLICATE_FIELD] = {422, true, 0},
    [ERR_MISSING_FIELD] = {422, true, 0}, [ERR_RANGE] = {422, true, 0},
    [ERR_UNKNOWN_NAME] = {422, true, 0},  [ERR_COMBINATION] = {422, true, 0},
    [ERR_LIMIT] = {422, true, 0},         [ERR_NOT_FOUND] = {404, false, 0},
    [ERR_CONFLICT] = {409, false, 0},     [ERR_FULL] = {503, false, 5},
    [ERR_MEMORY] = {503, false, 5},       [ERR_IO] = {500, false, 0},
    [ERR_STORE] = {503, false, 10},       [ERR_CANCELLED] = {409, false, 0},
    [ERR_WORKER] = {500, false, 0},       [ERR_INTERNAL] = {500, false, 0},
};

static const struct {
    const char *name, *sentence;
    int status;
} problem_table[PROBLEM_COUNT] = {
#define PROBLEM(name, status, sentence) {#name, sentence, status},
#include "server/http/problem.def"
#undef PROBLEM
};

static void write_code(json_out *o, const char *name)
{
    char code[40];
    size_t n = 0;
    for (; name[n] && n < sizeof code - 1; n++) code[n] = (char)tolower((unsigned char)name[n]);
    json_key(o, "code");
    json_string_n(o, code, n);
}

static void begin(json_out *o, int status, const char *title, const char *detail, const char *code)
{
    json_begin_object(o);
    json_string_member(o, "type", "about:blank");
    json_string_member(o, "title", title);
    json_integer_member(o, "status", status);
    json_string_member(o, "detail", detail);
    write_code(o, code);
}

static void end(reply *p, int status, json_out *o)
{
    json_end(o);
    p->type = "application/problem+json";
    p->tagged = false;
    reply_json(p, status, o);
}

void reply_error(reply *p, const error *e)
{
    json_out o = {0};
    err_code code = e->code > ERR_OK && e->code < ERR_COUNT ? e->code : ERR_INTERNAL;
    int status = error_table[code].status;
    begin(&o, status, error_sentence(code), e->message, error_name(code));
    if (error_table[code].in_document || e->pointer[0])
        json_string_member(&o, "pointer", e->pointer);
    p->retry_after_s = error_table[code].retry_after_s;
    end(p, status, &o);
}

void reply_problem(reply *p, problem kind, const char *parameter, const char *format, ...)
{
    json_out o = {0};
    char detail[400];
    va_list args;
    va_start(args, format);
    vsnprintf(detail, sizeof detail, format, args);
    va_end(args);
    int status = problem_table[kind].status;
    begin(&o, status, problem_table[kind].sentence, detail, problem_table[kind].name);
    if (parameter) json_string_member(&o, "parameter", parameter);
    if (kind == PROBLEM_BUSY) p->retry_after_s = 5;
    end(p, status, &o);
}

#include "core/base/error.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const char *const names[ERR_COUNT] = {
    "OK",
#define ERR(name, sentence) #name,
#include "core/base/error.def"
#undef ERR
};

static const char *const sentences[ERR_COUNT] = {
    "success",
#define ERR(name, sentence) sentence,
#include "core/base/error.def"
#undef ERR
};

err_code error_set(error *err, err_code code, const char *pointer, const char *format, ...)
{
    if (!err) return code;
    err->code = code;
    snprintf(err->pointer, sizeof err->pointer, "%s", pointer);
    va_list args;
    va_start(args, format);
    vsnprintf(err->message, sizeof err->message, format, args);
    va_end(args);
    return code;
}

void error_prefix(error *err, const char *segment)
{
    if (!err) return;
    char out[sizeof err->pointer];
    size_t n = 0;
    out[n++] = '/';
    for (const char *p = segment; *p && n + 3 < sizeof out; p++) {
        if (*p == '~' || *p == '/') {
            out[n++] = '~';
            out[n++] = *p == '~' ? '0' : '1';
        } else {
            out[n++] = *p;
        }
    }
    for (const char *p = err->pointer; *p && n + 1 < sizeof out; p++) out[n++] = *p;
    out[n] = '\0';
    memcpy(err->pointer, out, n + 1);
}

const char *error_name(err_code code)
{
    return code < ERR_COUNT ? names[code] : "INTERNAL";
}

const char *error_sentence(err_code code)
{
    return code < ERR_COUNT ? sentences[code] : "a bug in Normscope";
}

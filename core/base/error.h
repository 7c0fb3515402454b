/* Errors: what can fail returns err_code (0 is success) and fills an error.
 *
 * pointer is the JSON Pointer (RFC 6901) of the offending field, "" for the whole document; the
 * function that finds the fault names its own field, each caller prepends its segment. message is
 * one line with the value and what is allowed. Any thread; allocates nothing.
 */
#ifndef CORE_BASE_ERROR_H
#define CORE_BASE_ERROR_H

typedef enum err_code {
    ERR_OK = 0,
#define ERR(name, sentence) ERR_##name,
#include "core/base/error.def"
#undef ERR
    ERR_COUNT
} err_code;

typedef struct error {
    err_code code;
    char pointer[128];
    char message[320];
} error;

/* Fills err (which may be NULL) and returns code. A text that is too long is cut, never overrun. */
err_code error_set(error *err, err_code code, const char *pointer, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

/* "/eps" with segment "norm" becomes "/norm/eps"; "~" and "/" in segment are escaped. */
void error_prefix(error *err, const char *segment);

const char *error_name(err_code code);     /* "RANGE" */
const char *error_sentence(err_code code); /* "the value is out of range" */

#endif

/* JSON text, written piece by piece into a buffer that grows.
 *
 * Commas and colons come by themselves: inside an object alternate json_key and one value, inside
 * an array write values, json_end closes whatever is open. Strings are escaped; bytes that are not
 * UTF-8 become U+FFFD. Numbers have the fewest digits that read back to the same double.
 *
 * After an allocation failure `failed` is set, nothing more is written and json_take returns NULL,
 * so only the end needs a check. `*o = (json_out){0}` is an empty buffer. Nesting at most 64 deep.
 * One thread per buffer.
 */
#ifndef SERVER_TEXT_JSON_OUT_H
#define SERVER_TEXT_JSON_OUT_H

#include "core/base/catalog.h"

#include <stddef.h>
#include <stdint.h>

enum { JSON_NUMBER = 32 }; /* bytes that hold any number text with its NUL */

typedef struct json_out {
    char *text; /* NUL-terminated; NULL while nothing has been written */
    size_t n, cap;
    bool failed;
    bool after_key;
    int depth;
    uint64_t is_array, has_items; /* one bit per open level */
} json_out;

void json_begin_object(json_out *o);
void json_begin_array(json_out *o);
void json_end(json_out *o);
void json_key(json_out *o, const char *key);

void json_string(json_out *o, const char *text); /* NULL gives null */
void json_string_n(json_out *o, const char *bytes, size_t n);
void json_integer(json_out *o, int64_t value);
void json_unsigned(json_out *o, uint64_t value);
void json_bool(json_out *o, bool value);
void json_null(json_out *o);

/* A measured number. Finite: the number. REASON_NAN, REASON_POS_INF, REASON_NEG_INF: the strings
 * "NaN", "Infinity", "-Infinity". Any other reason: null (the caller writes the reason beside it).
 * A value that is not finite though reason is REASON_NONE is treated by reason_of(value). */
void json_number(json_out *o, double value, reason why);
void json_double(json_out *o, double value); /* json_number(o, value, reason_of(value)) */

/* A member of an object: its key and its value; json_object_member and json_array_member open it. */
void json_string_member(json_out *o, const char *key, const char *text); /* NULL gives null */
void json_integer_member(json_out *o, const char *key, int64_t value);
void json_bool_member(json_out *o, const char *key, bool value);
void json_raw_member(json_out *o, const char *key, const char *text); /* NULL gives null */
void json_number_member(json_out *o, const char *key, double value);  /* as json_double */
void json_object_member(json_out *o, const char *key);
void json_array_member(json_out *o, const char *key);
/* key NULL: an element. NaN, which here says that there is no number, is null. */
void json_double_member(json_out *o, const char *key, double value);

/* A complete JSON value that is already text; json_raw takes all of it, json_raw_n n bytes. */
void json_raw(json_out *o, const char *text);
void json_raw_n(json_out *o, const char *text, size_t n);

/* Bytes as they are, with no comma before them: line ends, CSV. */
void json_bytes(json_out *o, const char *bytes, size_t n);
void json_text(json_out *o, const char *text);

/* One CSV field (RFC 4180): quoted where it must be. The number: NaN, Infinity, -Infinity or, for
 * other reasons, empty. Separators are the caller's (json_text). */
void json_csv_string(json_out *o, const char *text);
void json_csv_number(json_out *o, double value, reason why);

/* The shortest decimal text of a finite value that strtod reads back to the same bits; returns its
 * length. A canonical form: integers below 2^53 without a point, exponents without padding. */
size_t json_number_text(char out[JSON_NUMBER], double value);

void json_reset(json_out *o);  /* empty again, memory kept, failed cleared */
void json_deinit(json_out *o); /* frees; the buffer is empty and usable again */
char *json_take(json_out *o);  /* transfers the text to the caller (heap); NULL after a failure */

#endif

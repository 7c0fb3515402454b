/* One linear pass over untrusted bytes before any JSON library sees them.
 *
 * Accepts exactly RFC 8259 texts that also keep these rules: valid UTF-8 and no byte order mark, no
 * U+0000 and no lone surrogate in a string, no key twice in one object (compared after unescaping),
 * numbers of at most 64 characters, and the limits below. What follows may then trust the nesting,
 * the size and the keys, and needs no care about a parser that is laxer than the RFC.
 *
 * Time is linear in n whatever the bytes are: duplicates are found in one hash table whose hash has
 * a random key, and nothing recurses. Memory: 48 to 96 bytes for each key that
 * limits.tokens and n allow, on the heap, freed before return. Any thread.
 *
 * Errors: ERR_JSON (grammar, UTF-8, forbidden characters), ERR_DUPLICATE_FIELD, ERR_LIMIT (bytes,
 * depth, tokens, long numbers), ERR_MEMORY. pointer is the place (RFC 6901), the message ends with
 * the line and column of the byte.
 */
#ifndef SERVER_TEXT_JSON_SCAN_H
#define SERVER_TEXT_JSON_SCAN_H

#include "core/base/error.h"

#include <stddef.h>

enum { JSON_SCAN_DEPTH = 32, JSON_SCAN_NUMBER = 64 };

typedef struct json_scan_limits {
    size_t bytes;
    size_t tokens; /* values and keys, containers included */
    int depth;     /* open containers, at most JSON_SCAN_DEPTH */
} json_scan_limits;

/* A job: 256 KiB, 16384 tokens (a Hugging Face config may name a thousand classes twice), 32
 * levels. */
extern const json_scan_limits json_scan_job;

err_code json_scan(const char *bytes, size_t n, const json_scan_limits *limits, error *err);

#endif

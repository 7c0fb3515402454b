/* UTF-8 as RFC 3629 has it: no overlong forms, no surrogates, nothing above U+10FFFF. */
#ifndef SERVER_TEXT_UTF8_H
#define SERVER_TEXT_UTF8_H

#include <stddef.h>

/* Bytes of the character that begins at bytes, 1 to 4; 0 when it is not valid within n. n >= 1. */
size_t utf8_length(const char *bytes, size_t n);

/* The text of a code point (at most U+10FFFF, no surrogate); returns its length. */
size_t utf8_encode(char out[4], unsigned code_point);

#endif

#include "server/text/wrap.h"

#include <string.h>

/* Columns of n bytes: bytes that begin a character. */
static int columns(const char *text, size_t n)
{
    int count = 0;
    for (size_t i = 0; i < n; i++) count += ((unsigned char)text[i] & 0xc0) != 0x80;
    return count;
}

void wrap_text(json_out *o, const char *text, int indent, int width)
{
    int at = indent;
    while (*text) {
        size_t n = strcspn(text, " ");
        int wide = columns(text, n);
        bool fits = at == indent || at + 1 + wide <= width;
        if (!fits) {
            json_text(o, "\n");
            for (int i = 0; i < indent; i++) json_text(o, " ");
            at = indent;
        } else if (at > indent) {
            json_text(o, " ");
            at++;
        }
        json_bytes(o, text, n);
        at += wide;
        text += n;
        text += strspn(text, " ");
    }
    json_text(o, "\n");
}

/* Text in lines for a terminal. */
#ifndef SERVER_TEXT_WRAP_H
#define SERVER_TEXT_WRAP_H

#include "server/text/json_out.h"

/* Writes text, which begins in column `indent`, in lines of at most `width` columns; further lines
 * are indented, the last one ends with a newline. A word longer than a line stays whole. */
void wrap_text(json_out *o, const char *text, int indent, int width);

#endif

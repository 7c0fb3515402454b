/* What happens to workers, told to whoever asked for it. */
#include "server/queue/internal.h"

#include <stdarg.h>
#include <stdio.h>

void scheduler_log(scheduler *s, const char *format, ...)
{
    char line[512];
    va_list args;
    if (!s->o.log) return;
    va_start(args, format);
    vsnprintf(line, sizeof line, format, args);
    va_end(args);
    s->o.log(line);
}

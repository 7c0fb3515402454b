#include "server/machine/embed.h"

#include <string.h>

const embed *embed_find(const char *path)
{
    for (const embed *e = embed_files; e->path; e++) {
        if (strcmp(e->path, path) == 0) return e;
    }
    return NULL;
}

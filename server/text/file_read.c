#include "server/text/file_read.h"

#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static err_code read_all(char **bytes, size_t *n, int fd, const char *path, size_t most, error *err)
{
    size_t cap = 0;
    for (;;) {
        if (*n + 1 >= cap) {
            cap = cap ? 2 * cap : 1 << 16;
            char *more = realloc(*bytes, cap);
            if (!more) return error_set(err, ERR_MEMORY, "", "not enough memory to read %s", path);
            *bytes = more;
        }
        ssize_t got = read(fd, *bytes + *n, cap - *n - 1);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return error_set(err, ERR_IO, "", "cannot read %s: %s", path, strerror(errno));
        if (got == 0) break;
        *n += (size_t)got;
        if (*n > most)
            return error_set(err, ERR_LIMIT, "", "%s is longer than %zu bytes, the limit", path,
                             most);
    }
    (*bytes)[*n] = '\0';
    return ERR_OK;
}

err_code file_read(char **bytes, size_t *n, const char *path, size_t most, error *err)
{
    bool standard = strcmp(path, "-") == 0;
    *bytes = NULL;
    *n = 0;
    int fd = standard ? STDIN_FILENO : open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return error_set(err, ERR_IO, "", "cannot open %s: %s", path, strerror(errno));
    err_code code = read_all(bytes, n, fd, path, most, err);
    if (!standard) close(fd);
    if (!code) return ERR_OK;
    free(*bytes);
    *bytes = NULL;
    *n = 0;
    return code;
}

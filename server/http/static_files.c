/* The dashboard's files: those in the program, or with --static those of a directory, for people
 * who work on them. Only paths of plain names are looked at, so none can climb out of the
 * directory. */
#include "server/http/request.h"

#include "server/machine/embed.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { FILE_MAX = 16 << 20 };

static const char *type_of(const char *path)
{
    static const char *const types[][2] = {
        {".html", "text/html; charset=utf-8"},
        {".css", "text/css; charset=utf-8"},
        {".js", "text/javascript; charset=utf-8"},
        {".mjs", "text/javascript; charset=utf-8"},
        {".json", "application/json"},
        {".svg", "image/svg+xml"},
        {".png", "image/png"},
        {".ico", "image/x-icon"},
        {".woff2", "font/woff2"},
        {".txt", "text/plain; charset=utf-8"},
    };
    const char *dot = strrchr(path, '.');
    for (size_t i = 0; dot && i < sizeof types / sizeof types[0]; i++)
        if (strcmp(dot, types[i][0]) == 0) return types[i][1];
    return NULL;
}

/* Names of letters, digits, "-", "_" and ".", none beginning with a dot, between slashes. */
static bool is_plain(const char *path)
{
    bool start = true;
    for (const char *p = path; *p; p++) {
        bool ok = (*p >= 'a' && *p <= 'z') || (*p >= 'A' && *p <= 'Z') ||
                  (*p >= '0' && *p <= '9') ||
                  ((*p == '.' || *p == '-' || *p == '_' || *p == '/') && !start);
        if (!ok) return false;
        start = *p == '/';
    }
    return !start;
}

static void not_found(reply *out)
{
    reply_problem(out, PROBLEM_NO_ROUTE, NULL, "there is no such file");
}

static bool read_all(int fd, char *bytes, size_t n)
{
    for (size_t at = 0; at < n;) {
        ssize_t got = read(fd, bytes + at, n - at);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return false;
        at += (size_t)got;
    }
    return true;
}

static void from_directory(reply *out, const char *directory, const char *path)
{
    char full[4096];
    struct stat st;
    int n = snprintf(full, sizeof full, "%s/%s", directory, path);
    int fd = n > 0 && (size_t)n < sizeof full ? open(full, O_RDONLY | O_CLOEXEC | O_NONBLOCK) : -1;
    if (fd < 0 || fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || st.st_size > FILE_MAX) {
        not_found(out);
    } else {
        char *bytes = malloc((size_t)st.st_size + 1);
        if (bytes && read_all(fd, bytes, (size_t)st.st_size)) {
            out->body = bytes;
            out->n = (size_t)st.st_size;
            out->owned = true;
        } else {
            free(bytes);
            reply_error(out, &(error){.code = ERR_IO, .message = "the file could not be read"});
        }
    }
    if (fd >= 0) close(fd);
}

static void from_program(reply *out, const char *path)
{
    char full[256];
    int n = snprintf(full, sizeof full, "static/%s", path);
    const embed *e = n > 0 && (size_t)n < sizeof full ? embed_find(full) : NULL;
    if (!e) {
        not_found(out);
        return;
    }
    out->body = (char *)e->bytes;
    out->n = e->size;
}

static void serve(request *r, reply *out, const char *path)
{
    const char *type = type_of(path);
    /* D3 is Debian's and is always the one in the program. */
    bool vendor = strcmp(path, "vendor/d3.min.js") == 0 || strcmp(path, "d3.min.js") == 0;
    const char *directory = r->http->options.static_dir;
    if (!type || !is_plain(path)) {
        not_found(out);
        return;
    }
    if (vendor)
        from_program(out, "vendor/d3.min.js");
    else if (directory)
        from_directory(out, directory, path);
    else
        from_program(out, path);
    if (out->status) return; /* a problem */
    out->status = MHD_HTTP_OK;
    out->type = type;
    out->tagged = true;
}

void static_files_index(request *r, reply *out)
{
    serve(r, out, "index.html");
}

void static_files_icon(request *r, reply *out)
{
    serve(r, out, "favicon.svg");
}

void static_files_any(request *r, reply *out)
{
    serve(r, out, r->capture[0]);
}

#include "server/command/safetensors.h"

#include "server/machine/version.h"
#include "server/text/json_out.h"

#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

typedef struct safetensors_table {
    json_out header;
    char **names; /* to refuse a name that comes twice; sorted at commit */
    size_t n, cap;
} safetensors_table;

static err_code io_error(error *err, const char *path)
{
    return error_set(err, ERR_IO, "", "cannot write %s: %s", path, strerror(errno));
}

static err_code no_memory(error *err)
{
    return error_set(err, ERR_MEMORY, "", "not enough memory for the list of tensors");
}

static bool write_all(int fd, const void *bytes, size_t n)
{
    for (size_t done = 0; done < n;) {
        ssize_t put = write(fd, (const char *)bytes + done, n - done);
        if (put < 0 && errno == EINTR) continue;
        if (put < 0) return false;
        done += (size_t)put;
    }
    return true;
}

/* A file without a name in the folder of path. */
static int open_nameless(const char *path)
{
    char folder[4096], template[4128];
    const char *slash = strrchr(path, '/');
    if (!slash)
        snprintf(folder, sizeof folder, ".");
    else
        snprintf(folder, sizeof folder, "%.*s", (int)(slash - path ? slash - path : 1), path);
    int fd = open(folder, O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (fd >= 0 || (errno != EOPNOTSUPP && errno != EISDIR && errno != ENOENT)) return fd;
    snprintf(template, sizeof template, "%s/.normscope-XXXXXX", folder);
    fd = mkostemp(template, O_CLOEXEC);
    if (fd >= 0) unlink(template);
    return fd;
}

err_code safetensors_writer_open(safetensors_writer *w, const char *path, error *err)
{
    size_t n = strlen(path);
    *w = (safetensors_writer){.data = -1};
    if (n == 0 || n > 4000)
        return error_set(err, ERR_IO, "", "the file name has %zu bytes; allowed are 1 to 4000", n);
    w->path = strdup(path);
    w->temporary = malloc(n + 16);
    w->table = calloc(1, sizeof *w->table);
    err_code code = ERR_OK;
    if (!w->path || !w->temporary || !w->table) {
        code = no_memory(err);
    } else {
        snprintf(w->temporary, n + 16, "%s.XXXXXX", path);
        w->data = open_nameless(path);
        if (w->data < 0) code = io_error(err, path);
    }
    if (code)
        safetensors_abort(w);
    else
        json_begin_object(&w->table->header);
    return code;
}

static void write_shape(json_out *o, const tensor_view *t)
{
    json_array_member(o, "shape");
    for (int i = 0; i < t->rank; i++) json_unsigned(o, t->dims[i]);
    json_end(o);
}

static bool remember(safetensors_table *t, const char *name)
{
    if (t->n == t->cap) {
        size_t cap = t->cap ? 2 * t->cap : 256;
        char **names = realloc(t->names, cap * sizeof *names);
        if (!names) return false;
        t->names = names;
        t->cap = cap;
    }
    if (!(t->names[t->n] = strdup(name))) return false;
    t->n++;
    return true;
}

err_code
safetensors_add(safetensors_writer *w, const char *prefix, const tensor_view *t, error *err)
{
    static const struct {
        const char *name;
        size_t bytes;
    } types[] = {[TENSOR_F32] = {"F32", 4},
                 [TENSOR_F64] = {"F64", 8},
                 [TENSOR_I32] = {"I32", 4},
                 [TENSOR_U8] = {"U8", 1}};
    char name[256];
    size_t bytes = types[t->type].bytes;
    json_out *o = &w->table->header;
    snprintf(name, sizeof name, "%s%s", prefix, t->name);
    for (int i = 0; i < t->rank; i++) bytes *= t->dims[i];
    if (!remember(w->table, name)) return no_memory(err);
    if (!write_all(w->data, t->data, bytes)) return io_error(err, w->path);
    json_object_member(o, name);
    json_string_member(o, "dtype", types[t->type].name);
    write_shape(o, t);
    json_array_member(o, "data_offsets");
    json_unsigned(o, w->bytes);
    json_unsigned(o, w->bytes + bytes);
    json_end(o);
    json_end(o);
    w->bytes += bytes;
    return o->failed ? no_memory(err) : ERR_OK;
}

static int by_text(const void *a, const void *b)
{
    return strcmp(*(char *const *)a, *(char *const *)b);
}

static err_code check_names(safetensors_table *t, error *err)
{
    if (t->n) qsort(t->names, t->n, sizeof *t->names, by_text);
    for (size_t i = 1; i < t->n; i++)
        if (strcmp(t->names[i - 1], t->names[i]) == 0)
            return error_set(err, ERR_RANGE, "", "the tensor %s comes twice", t->names[i]);
    return ERR_OK;
}

static void finish_header(json_out *o, const char *spec)
{
    json_object_member(o, "__metadata__");
    json_string_member(o, "format", "normscope " NORMSCOPE_VERSION);
    json_string_member(o, "build", version_build());
    json_string_member(o, "spec", spec);
    json_end(o);
    json_end(o);
    while (o->n % 8) json_bytes(o, " ", 1); /* the tensors begin at a multiple of 8 */
}

static bool copy_data(int to, int from, size_t bytes)
{
    char buffer[1 << 16];
    for (size_t done = 0; done < bytes;) {
        size_t want = bytes - done < sizeof buffer ? bytes - done : sizeof buffer;
        ssize_t got = pread(from, buffer, want, (off_t)done);
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0 || !write_all(to, buffer, (size_t)got)) return false;
        done += (size_t)got;
    }
    return true;
}

/* mkostemp makes files that only their owner reads; results are for whom the umask says. */
static void open_up(int fd)
{
    mode_t mask = umask(0);
    umask(mask);
    fchmod(fd, 0666 & ~mask);
}

static err_code write_file(safetensors_writer *w, error *err)
{
    const json_out *o = &w->table->header;
    uint64_t n = htole64(o->n);
    int fd = mkostemp(w->temporary, O_CLOEXEC);
    if (fd < 0) return io_error(err, w->path);
    open_up(fd);
    bool ok = write_all(fd, &n, 8) && write_all(fd, o->text, o->n) &&
              copy_data(fd, w->data, w->bytes) && fsync(fd) == 0;
    err_code code = ok ? ERR_OK : io_error(err, w->path);
    if (close(fd) != 0 && !code) code = io_error(err, w->path);
    if (!code && rename(w->temporary, w->path) != 0) code = io_error(err, w->path);
    if (code) unlink(w->temporary);
    return code;
}

err_code safetensors_commit(safetensors_writer *w, const char *spec, error *err)
{
    err_code code = check_names(w->table, err);
    finish_header(&w->table->header, spec);
    if (!code && w->table->header.failed) code = no_memory(err);
    if (!code) code = write_file(w, err);
    safetensors_abort(w);
    return code;
}

void safetensors_abort(safetensors_writer *w)
{
    if (w->table) {
        for (size_t i = 0; i < w->table->n; i++) free(w->table->names[i]);
        free(w->table->names);
        json_deinit(&w->table->header);
    }
    free(w->table);
    free(w->path);
    free(w->temporary);
    if (w->data >= 0) close(w->data);
    *w = (safetensors_writer){.data = -1};
}

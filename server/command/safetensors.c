#include "server/command/safetensors.h"

#include "server/text/json_scan.h"

#include <cJSON.h>
#include <endian.h>
#include <errno.h>
#include <fcntl.h>
#include <math.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

/* 4096 blocks of 14 tensors have 57 344 entries of 14 tokens. */
static const json_scan_limits header_limits = {.bytes = 16 << 20, .tokens = 2 << 20, .depth = 4};

static const struct {
    const char *name;
    size_t bytes;
    int type; /* tensor_type, or -1: known to the format, not to the engine */
} dtypes[] = {
    {"F32", 4, TENSOR_F32}, {"F64", 8, TENSOR_F64}, {"I32", 4, TENSOR_I32}, {"U8", 1, TENSOR_U8},
    {"F16", 2, -1},         {"BF16", 2, -1},        {"I8", 1, -1},          {"BOOL", 1, -1},
    {"I16", 2, -1},         {"U16", 2, -1},         {"U32", 4, -1},         {"I64", 8, -1},
    {"U64", 8, -1},
};
enum { N_DTYPES = sizeof dtypes / sizeof *dtypes };

static int find_dtype(const char *name)
{
    for (int i = 0; i < N_DTYPES; i++)
        if (strcmp(dtypes[i].name, name) == 0) return i;
    return -1;
}

static err_code io_error(error *err, const char *what)
{
    return error_set(err, ERR_IO, "", "%s: %s", what,
                     errno ? strerror(errno) : "the file is shorter than it says");
}

static err_code read_at(int fd, void *out, size_t n, size_t at, error *err)
{
    for (size_t done = 0; done < n;) {
        errno = 0;
        ssize_t got = pread(fd, (char *)out + done, n - done, (off_t)(at + done));
        if (got < 0 && errno == EINTR) continue;
        if (got <= 0) return io_error(err, "cannot read the tensors");
        done += (size_t)got;
    }
    return ERR_OK;
}

/* --- one entry of the header ------------------------------------------------------------------ */

static err_code refuse(error *err, err_code code, const char *member, const char *message)
{
    error_set(err, code, "", "%s", message);
    error_prefix(err, member);
    return code;
}

/* A list of non-negative exact integers. */
static bool read_sizes(size_t *out, int *n, int most, const cJSON *list)
{
    const cJSON *item;
    *n = 0;
    if (!cJSON_IsArray(list)) return false;
    cJSON_ArrayForEach(item, list)
    {
        double x = cJSON_IsNumber(item) ? item->valuedouble : -1;
        if (*n == most || !(x >= 0 && x < 0x1p53) || x != floor(x)) return false;
        out[(*n)++] = (size_t)x;
    }
    return true;
}

static err_code read_offsets(
    safetensors_entry *e, int dtype, size_t data, size_t size, const cJSON *list, error *err)
{
    size_t offsets[2];
    int n;
    if (!read_sizes(offsets, &n, 2, list) || n != 2)
        return refuse(err, ERR_TYPE, "data_offsets", "data_offsets must be two integers");
    if (offsets[0] > offsets[1] || offsets[1] > size)
        return refuse(err, ERR_RANGE, "data_offsets", "data_offsets lie outside the file");
    size_t bytes = dtypes[dtype].bytes;
    for (int i = 0; i < e->rank; i++)
        if (__builtin_mul_overflow(bytes, e->dims[i], &bytes))
            return refuse(err, ERR_RANGE, "shape", "the shape is larger than any memory");
    if (bytes != offsets[1] - offsets[0])
        return refuse(err, ERR_RANGE, "data_offsets", "data_offsets do not fit dtype and shape");
    e->begin = data + offsets[0], e->end = data + offsets[1];
    return ERR_OK;
}

static err_code
read_entry(safetensors_entry *e, const cJSON *value, size_t data, size_t size, error *err)
{
    const cJSON *dtype = NULL, *shape = NULL, *offsets = NULL, *member;
    if (!cJSON_IsObject(value)) return error_set(err, ERR_TYPE, "", "a tensor must be an object");
    cJSON_ArrayForEach(member, value)
    {
        if (strcmp(member->string, "dtype") == 0)
            dtype = member;
        else if (strcmp(member->string, "shape") == 0)
            shape = member;
        else if (strcmp(member->string, "data_offsets") == 0)
            offsets = member;
        else
            return refuse(err, ERR_UNKNOWN_FIELD, member->string,
                          "allowed: dtype, shape, data_offsets");
    }
    if (!dtype || !shape || !offsets)
        return error_set(err, ERR_MISSING_FIELD, "",
                         "a tensor needs dtype, shape and data_offsets");
    int type = cJSON_IsString(dtype) ? find_dtype(dtype->valuestring) : -1;
    if (type < 0) return refuse(err, ERR_UNKNOWN_NAME, "dtype", "this dtype is not known");
    if (!read_sizes(e->dims, &e->rank, SAFETENSORS_RANK, shape))
        return refuse(err, ERR_TYPE, "shape", "shape must be a list of at most 8 integers");
    e->dtype = dtypes[type].name;
    e->name = strdup(value->string);
    if (!e->name) return error_set(err, ERR_MEMORY, "", "not enough memory for the header");
    return read_offsets(e, type, data, size, offsets, err);
}

/* --- the header ------------------------------------------------------------------------------- */

static int by_place(const void *a, const void *b)
{
    const safetensors_entry *x = a, *y = b;
    if (x->begin != y->begin) return x->begin < y->begin ? -1 : 1;
    return (x->end > y->end) - (x->end < y->end);
}

static int by_name(const void *a, const void *b)
{
    const safetensors_entry *x = a, *y = b;
    return strcmp(x->name, y->name);
}

static err_code check_layout(safetensors *s, size_t data, size_t size, error *err)
{
    size_t at = data;
    if (s->n) qsort(s->entries, s->n, sizeof *s->entries, by_place);
    for (size_t i = 0; i < s->n; i++) {
        const safetensors_entry *e = &s->entries[i];
        if (e->begin != at) {
            error_set(err, ERR_RANGE, "/data_offsets", "the tensor %s",
                      e->begin < at ? "overlaps another" : "leaves a hole before it");
            error_prefix(err, e->name);
            return ERR_RANGE;
        }
        at = e->end;
    }
    if (at != data + size)
        return error_set(err, ERR_RANGE, "", "%zu bytes after the last tensor belong to none",
                         data + size - at);
    if (s->n) qsort(s->entries, s->n, sizeof *s->entries, by_name);
    return ERR_OK;
}

static err_code
read_entries(safetensors *s, const cJSON *tree, size_t data, size_t size, error *err)
{
    const cJSON *member;
    if (!cJSON_IsObject(tree)) return error_set(err, ERR_TYPE, "", "the header must be an object");
    size_t n = (size_t)cJSON_GetArraySize(tree);
    if (n && !(s->entries = calloc(n, sizeof *s->entries)))
        return error_set(err, ERR_MEMORY, "", "not enough memory for the header");
    cJSON_ArrayForEach(member, tree)
    {
        if (strcmp(member->string, "__metadata__") == 0) continue;
        err_code code = read_entry(&s->entries[s->n++], member, data, size, err);
        if (!code) continue;
        error_prefix(err, member->string);
        return code;
    }
    return check_layout(s, data, size, err);
}

static err_code read_header(safetensors *s, size_t file_bytes, error *err)
{
    uint64_t n;
    err_code code;
    if (file_bytes < 8)
        return error_set(err, ERR_JSON, "", "the file is too short for safetensors");
    if ((code = read_at(s->fd, &n, 8, 0, err))) return code;
    n = le64toh(n);
    if (n > file_bytes - 8 || n > header_limits.bytes)
        return error_set(err, ERR_LIMIT, "",
                         "the header claims %llu bytes; the file has %zu, the limit is %zu",
                         (unsigned long long)n, file_bytes - 8, header_limits.bytes);
    char *text = malloc(n + 1);
    if (!text) return error_set(err, ERR_MEMORY, "", "not enough memory for the header");
    text[n] = '\0';
    cJSON *tree = NULL;
    if ((code = read_at(s->fd, text, n, 8, err))) goto out;
    if ((code = json_scan(text, n, &header_limits, err))) goto out;
    tree = cJSON_ParseWithLengthOpts(text, n + 1, NULL, true);
    code = tree ? read_entries(s, tree, 8 + n, file_bytes - 8 - n, err)
                : error_set(err, ERR_MEMORY, "", "not enough memory for the header");
out:
    cJSON_Delete(tree);
    free(text);
    return code;
}

err_code safetensors_open(safetensors *s, const char *path, error *err)
{
    struct stat status;
    *s = (safetensors){.fd = open(path, O_RDONLY | O_CLOEXEC)};
    if (s->fd < 0) return io_error(err, "cannot open the file");
    err_code code = ERR_OK;
    if (fstat(s->fd, &status) != 0)
        code = io_error(err, "cannot open the file");
    else if (!S_ISREG(status.st_mode))
        code = error_set(err, ERR_IO, "", "it is not a regular file");
    if (!code) code = read_header(s, (size_t)status.st_size, err);
    if (code) safetensors_close(s);
    return code;
}

void safetensors_close(safetensors *s)
{
    for (size_t i = 0; i < s->n; i++) free(s->entries[i].name);
    free(s->entries);
    if (s->fd >= 0) close(s->fd);
    *s = (safetensors){.fd = -1};
}

static int name_against_entry(const void *name, const void *e)
{
    return strcmp(name, ((const safetensors_entry *)e)->name);
}

const safetensors_entry *safetensors_find(const safetensors *s, const char *name)
{
    return s->n ? bsearch(name, s->entries, s->n, sizeof *s->entries, name_against_entry) : NULL;
}

/* --- values ----------------------------------------------------------------------------------- */

/* n values of the other float type through a small buffer. */
static err_code read_converted(int fd, const tensor_view *t, size_t n, size_t at, error *err)
{
    enum { CHUNK = 4096 };
    union {
        float f32[CHUNK];
        double f64[CHUNK];
    } buffer;
    size_t width = t->type == TENSOR_F64 ? sizeof(float) : sizeof(double);
    for (size_t from = 0; from < n; from += CHUNK) {
        size_t count = n - from < CHUNK ? n - from : CHUNK;
        err_code code = read_at(fd, &buffer, count * width, at + from * width, err);
        if (code) return code;
        for (size_t i = 0; i < count; i++)
            if (t->type == TENSOR_F64)
                ((double *)t->data)[from + i] = buffer.f32[i];
            else
                ((float *)t->data)[from + i] = (float)buffer.f64[i];
    }
    return ERR_OK;
}

err_code
safetensors_read(const safetensors *s, const safetensors_entry *e, const tensor_view *t, error *err)
{
    int have = dtypes[find_dtype(e->dtype)].type;
    bool both_float = (have == TENSOR_F32 || have == TENSOR_F64) &&
                      (t->type == TENSOR_F32 || t->type == TENSOR_F64);
    size_t n = 1;
    if (have != (int)t->type && !both_float) {
        error_set(err, ERR_TYPE, "/dtype", "dtype is %s; allowed: %s", e->dtype,
                  t->type == TENSOR_I32  ? "I32"
                  : t->type == TENSOR_U8 ? "U8"
                                         : "F32, F64");
        error_prefix(err, e->name);
        return ERR_TYPE;
    }
    bool same = e->rank == t->rank;
    for (int i = 0; i < t->rank && same; i++) {
        same = e->dims[i] == t->dims[i];
        n *= t->dims[i];
    }
    if (!same) {
        error_set(err, ERR_RANGE, "/shape",
                  "the shape is not that of the model's tensor, which has rank %d and %zu rows",
                  t->rank, t->rank ? t->dims[0] : 1);
        error_prefix(err, e->name);
        return ERR_RANGE;
    }
    if (have != (int)t->type) return read_converted(s->fd, t, n, e->begin, err);
    return read_at(s->fd, t->data, e->end - e->begin, e->begin, err);
}

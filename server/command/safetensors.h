/* Safetensors files: weights in, weights and probes out. The format is a little-endian u64 with the
 * size of a JSON header, the header {"name":{"dtype","shape","data_offsets":[begin,end]},
 * "__metadata__":{…}}, then the tensors' bytes, row-major and little-endian (this code runs on
 * little-endian machines).
 *
 * Reading trusts nothing: the header passes json_scan, at most 16 MiB of it; every offset, size,
 * shape and type is checked, tensors must fill the rest of the file without overlap or hole.
 * Nothing is mapped, so a file that shrinks meanwhile is an ERR_IO. Errors: ERR_JSON and the like
 * for the header, ERR_TYPE, ERR_RANGE, ERR_IO, ERR_MEMORY; pointer is the place in the header.
 *
 * Writing is atomic: the file appears under its name, synced, when everything is in it, or not at
 * all.
 */
#ifndef SERVER_COMMAND_SAFETENSORS_H
#define SERVER_COMMAND_SAFETENSORS_H

#include "core/engine.h"

enum { SAFETENSORS_RANK = 8 };

typedef struct safetensors_entry {
    char *name;
    const char *dtype; /* "F32", …; static */
    int rank;
    size_t dims[SAFETENSORS_RANK];
    size_t begin, end; /* in the file */
} safetensors_entry;

typedef struct safetensors {
    int fd;
    safetensors_entry *entries; /* by name */
    size_t n;
} safetensors;

err_code safetensors_open(safetensors *s, const char *path, error *err);
void safetensors_close(safetensors *s);
const safetensors_entry *safetensors_find(const safetensors *s, const char *name);

/* Fills t->data. ERR_TYPE unless the types agree (F32 and F64 are converted into one another),
 * ERR_RANGE unless the shapes do. */
err_code safetensors_read(const safetensors *s,
                          const safetensors_entry *e,
                          const tensor_view *t,
                          error *err);

/* One file being written. A temporary file beside path holds the tensors until commit. */
typedef struct safetensors_writer {
    char *path, *temporary;
    int data; /* descriptor of the tensors' bytes, without a name */
    size_t bytes;
    struct safetensors_table *table;
} safetensors_writer;

err_code safetensors_writer_open(safetensors_writer *w, const char *path, error *err);
/* prefix goes before t->name. ERR_RANGE when the name is there already. */
err_code
safetensors_add(safetensors_writer *w, const char *prefix, const tensor_view *t, error *err);
/* spec: text for the header's metadata. Closes the writer in any case. */
err_code safetensors_commit(safetensors_writer *w, const char *spec, error *err);
void safetensors_abort(safetensors_writer *w); /* nothing is left; also fine after commit */

#endif

/* Files carried inside the program, so that it runs from anywhere: the dashboard (static/, and D3
 * as static/vendor/d3.min.js), the SQL migrations and the JSON Schemas (schema/), the demo study
 * (tests/jobs/). The table is written by the Makefile from the files themselves. Borrowed, for the
 * program's life.
 */
#ifndef SERVER_MACHINE_EMBED_H
#define SERVER_MACHINE_EMBED_H

#include <stddef.h>

typedef struct embed {
    const char *path;           /* as in the repository: "schema/001_init.sql" */
    const unsigned char *bytes; /* size of them, and a NUL after */
    size_t size;
} embed;

extern const embed embed_files[]; /* in the order of the paths; ends with path NULL */

const embed *embed_find(const char *path); /* NULL: no such file */

#endif

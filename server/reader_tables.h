/* Single rows of the tables as JSON objects, in the shapes of server/reader.h. */
#ifndef SERVER_READER_TABLES_H
#define SERVER_READER_TABLES_H

#include "server/field.h"
#include "server/json_out.h"

void reader_write_field(json_out *o, const field *f);
void reader_write_entry(json_out *o, const registry *r, int row);
void reader_write_preset(json_out *o, int row);

#endif

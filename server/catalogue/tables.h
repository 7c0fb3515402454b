/* Single rows of the tables as JSON objects, in the shapes of server/job/reader.h. */
#ifndef SERVER_CATALOGUE_TABLES_H
#define SERVER_CATALOGUE_TABLES_H

#include "server/job/field.h"
#include "server/text/json_out.h"

void reader_write_field(json_out *o, const field *f);
void reader_write_entry(json_out *o, const registry *r, int row);
void reader_write_preset(json_out *o, int row);

#endif

/* The JSON Schema (2020-12) of a job, from the field table. */
#ifndef SERVER_CATALOGUE_SCHEMA_H
#define SERVER_CATALOGUE_SCHEMA_H

char *schema_job(void); /* heap; NULL when out of memory */

#endif

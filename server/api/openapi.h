/* The description of the API (OpenAPI 3.1), made from the route table. */
#ifndef SERVER_API_OPENAPI_H
#define SERVER_API_OPENAPI_H

char *openapi_text(void); /* JSON; heap, NULL when out of memory */

#endif

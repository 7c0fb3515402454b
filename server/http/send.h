/* A reply becomes a response of the library: with the headers that every reply carries, compressed
 * where the client takes that, 304 where it has it already. */
#ifndef SERVER_HTTP_SEND_H
#define SERVER_HTTP_SEND_H

#include "server/http/request.h"

/* Queues r->reply, once. */
enum MHD_Result reply_send(request *r);

#endif

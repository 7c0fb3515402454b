/* The listening socket, from an address as people write it. */
#ifndef SERVER_HTTP_LISTEN_H
#define SERVER_HTTP_LISTEN_H

#include "core/base/error.h"

#include <netinet/in.h>
#include <stdbool.h>
#include <sys/socket.h>

typedef struct http_listen {
    char host[64]; /* as in a Host header: IPv6 in brackets */
    bool loopback;
    int family;
    union {
        struct sockaddr any;
        struct sockaddr_in v4;
        struct sockaddr_in6 v6;
    } address;
} http_listen;

/* "127.0.0.1:8080", "[::1]:0", "localhost:8080", "8080" (loopback). ERR_RANGE, pointer "/listen".
 */
err_code http_listen_parse(http_listen *l, const char *text, error *err);

/* ERR_IO with what to do when the port is taken. *port is the one that was given. */
err_code http_listen_open(const http_listen *l, int *fd, int *port, error *err);

/* The same of a socket that listens already. ERR_IO when it is not one of IP. */
err_code http_listen_given(http_listen *l, int fd, int *port, error *err);

#endif

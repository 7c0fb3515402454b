#include "server/http/listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { LISTEN_BACKLOG = 511 };

static bool parse_port(const char *text, uint16_t *port)
{
    size_t n = strlen(text);
    if (n == 0 || n > 5 || strspn(text, "0123456789") != n) return false;
    long value = strtol(text, NULL, 10);
    *port = (uint16_t)value;
    return value <= 65535;
}

static bool set_v4(http_listen *l, const char *host, uint16_t port)
{
    struct sockaddr_in *a = &l->address.v4;
    if (inet_pton(AF_INET, host, &a->sin_addr) != 1) return false;
    a->sin_family = AF_INET;
    a->sin_port = htons(port);
    l->family = AF_INET;
    l->loopback = (ntohl(a->sin_addr.s_addr) >> 24) == 127;
    snprintf(l->host, sizeof l->host, "%s", host);
    return true;
}

static bool set_v6(http_listen *l, const char *host, uint16_t port)
{
    struct sockaddr_in6 *a = &l->address.v6;
    if (inet_pton(AF_INET6, host, &a->sin6_addr) != 1) return false;
    a->sin6_family = AF_INET6;
    a->sin6_port = htons(port);
    l->family = AF_INET6;
    l->loopback = IN6_IS_ADDR_LOOPBACK(&a->sin6_addr);
    snprintf(l->host, sizeof l->host, "[%s]", host);
    return true;
}

err_code http_listen_parse(http_listen *l, const char *text, error *err)
{
    *l = (http_listen){0};
    char host[50] = "127.0.0.1";
    const char *colon = strrchr(text, ':');
    const char *port_text = colon ? colon + 1 : text;
    size_t n = colon ? (size_t)(colon - text) : 0;
    bool brackets = n >= 2 && text[0] == '[' && text[n - 1] == ']';
    const char *from = brackets ? text + 1 : text;
    if (brackets) n -= 2;
    uint16_t port = 0;
    bool ok = n < sizeof host && parse_port(port_text, &port);
    if (ok && n > 0) {
        memcpy(host, from, n);
        host[n] = '\0';
        if (strcmp(host, "localhost") == 0) snprintf(host, sizeof host, "127.0.0.1");
    }
    ok = ok && (brackets ? set_v6(l, host, port) : set_v4(l, host, port));
    if (ok) return ERR_OK;
    return error_set(err, ERR_RANGE, "/listen",
                     "\"%.60s\" is not ADDRESS:PORT, as 127.0.0.1:8080 or [::1]:8080", text);
}

static int port_of(const http_listen *l)
{
    return ntohs(l->family == AF_INET6 ? l->address.v6.sin6_port : l->address.v4.sin_port);
}

/* The port that was given when any was asked for. */
static int bound_port(const http_listen *l, int fd)
{
    http_listen bound = *l;
    socklen_t n = sizeof bound.address;
    return getsockname(fd, &bound.address.any, &n) == 0 ? port_of(&bound) : 0;
}

err_code http_listen_open(const http_listen *l, int *fd, int *port, error *err)
{
    int on = 1;
    socklen_t n = l->family == AF_INET6 ? sizeof l->address.v6 : sizeof l->address.v4;
    int s = socket(l->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s < 0) return error_set(err, ERR_IO, "/listen", "no socket: %s", strerror(errno));
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (l->family == AF_INET6) setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(s, &l->address.any, n) != 0 || listen(s, LISTEN_BACKLOG) != 0) {
        int why = errno;
        close(s);
        if (why == EADDRINUSE)
            return error_set(err, ERR_IO, "/listen",
                             "%s:%d is taken by another program: choose another port with --listen",
                             l->host, port_of(l));
        return error_set(err, ERR_IO, "/listen", "cannot listen on %s:%d: %s", l->host, port_of(l),
                         strerror(why));
    }
    *fd = s;
    *port = bound_port(l, s);
    return ERR_OK;
}

err_code http_listen_given(http_listen *l, int fd, int *port, error *err)
{
    char host[INET6_ADDRSTRLEN] = "";
    http_listen bound = {0};
    socklen_t n = sizeof bound.address;
    *l = bound;
    if (getsockname(fd, &bound.address.any, &n) == 0) {
        bound.family = bound.address.any.sa_family;
        const void *address = bound.family == AF_INET6 ? (const void *)&bound.address.v6.sin6_addr
                                                       : (const void *)&bound.address.v4.sin_addr;
        if (bound.family == AF_INET || bound.family == AF_INET6)
            inet_ntop(bound.family, address, host, sizeof host);
    }
    *port = host[0] ? port_of(&bound) : 0;
    if (host[0] && (bound.family == AF_INET6 ? set_v6(l, host, (uint16_t)*port)
                                             : set_v4(l, host, (uint16_t)*port)))
        return ERR_OK;
    return error_set(err, ERR_IO, "/listen", "the socket that was handed over is not of TCP");
}

#include "server/http_listen.h"

#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
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
    struct sockaddr_in *a = (struct sockaddr_in *)&l->address;
    if (inet_pton(AF_INET, host, &a->sin_addr) != 1) return false;
    a->sin_family = AF_INET;
    a->sin_port = htons(port);
    l->family = AF_INET;
    l->address_n = sizeof *a;
    l->loopback = (ntohl(a->sin_addr.s_addr) >> 24) == 127;
    snprintf(l->host, sizeof l->host, "%s", host);
    return true;
}

static bool set_v6(http_listen *l, const char *host, uint16_t port)
{
    struct sockaddr_in6 *a = (struct sockaddr_in6 *)&l->address;
    if (inet_pton(AF_INET6, host, &a->sin6_addr) != 1) return false;
    a->sin6_family = AF_INET6;
    a->sin6_port = htons(port);
    l->family = AF_INET6;
    l->address_n = sizeof *a;
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

static int bound_port(int fd)
{
    struct sockaddr_storage a = {0};
    socklen_t n = sizeof a;
    if (getsockname(fd, (struct sockaddr *)&a, &n) != 0) return 0;
    if (a.ss_family == AF_INET6) return ntohs(((struct sockaddr_in6 *)&a)->sin6_port);
    return ntohs(((struct sockaddr_in *)&a)->sin_port);
}

static int wanted_port(const http_listen *l)
{
    if (l->family == AF_INET6) return ntohs(((const struct sockaddr_in6 *)&l->address)->sin6_port);
    return ntohs(((const struct sockaddr_in *)&l->address)->sin_port);
}

err_code http_listen_open(const http_listen *l, int *fd, int *port, error *err)
{
    int on = 1;
    int s = socket(l->family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (s < 0) return error_set(err, ERR_IO, "/listen", "no socket: %s", strerror(errno));
    setsockopt(s, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (l->family == AF_INET6) setsockopt(s, IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
    if (bind(s, (const struct sockaddr *)&l->address, l->address_n) != 0 ||
        listen(s, LISTEN_BACKLOG) != 0) {
        int why = errno;
        close(s);
        if (why == EADDRINUSE)
            return error_set(err, ERR_IO, "/listen",
                             "%s:%d is taken by another program: choose another port with --listen",
                             l->host, wanted_port(l));
        return error_set(err, ERR_IO, "/listen", "cannot listen on %s:%d: %s", l->host,
                         wanted_port(l), strerror(why));
    }
    *fd = s;
    *port = bound_port(s);
    return ERR_OK;
}

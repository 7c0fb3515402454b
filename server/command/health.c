#include "server/command/health.h"

#include "server/http/listen.h"
#include "server/text/text.h"

#include <errno.h>
#include <poll.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

enum { REPLY_BYTES = 8192, TIMEOUT_MS = 5000 };

static int64_t now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

/* Who listens everywhere is asked on loopback. */
static void make_local(http_listen *l)
{
    if (l->family == AF_INET6 && IN6_IS_ADDR_UNSPECIFIED(&l->address.v6.sin6_addr)) {
        l->address.v6.sin6_addr = in6addr_loopback;
        strcpy(l->host, "[::1]");
    } else if (l->family == AF_INET && l->address.v4.sin_addr.s_addr == htonl(INADDR_ANY)) {
        l->address.v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        strcpy(l->host, "127.0.0.1");
    }
}

static bool wait_for(int fd, short events, int64_t end)
{
    struct pollfd p = {.fd = fd, .events = events};
    int64_t left = end - now_ms();
    int n = left > 0 ? poll(&p, 1, (int)left) : 0;
    if (n == 0) errno = ETIMEDOUT;
    return n > 0;
}

static bool ask(int fd, const http_listen *l, char reply[REPLY_BYTES], int64_t end)
{
    char text[160];
    socklen_t size = l->family == AF_INET6 ? sizeof l->address.v6 : sizeof l->address.v4;
    int n = snprintf(text, sizeof text,
                     "GET /healthz HTTP/1.1\r\nHost: %s\r\nConnection: close\r\n\r\n", l->host);
    if (connect(fd, &l->address.any, size) != 0) return false;
    if (send(fd, text, (size_t)n, MSG_NOSIGNAL) != n) return false;
    size_t got = 0;
    ssize_t more = 1;
    while (more > 0 && got < REPLY_BYTES - 1) {
        if (!wait_for(fd, POLLIN, end)) return false;
        more = recv(fd, reply + got, REPLY_BYTES - 1 - got, 0);
        if (more > 0) got += (size_t)more;
    }
    reply[got] = '\0';
    return more >= 0;
}

static int print_reply(const char *reply)
{
    const char *body = strstr(reply, "\r\n\r\n");
    printf("%s\n", body ? body + 4 : reply);
    return strncmp(reply, "HTTP/1.1 200 ", 13) == 0 && fflush(stdout) == 0 ? 0 : 1;
}

int health_main(const options *o)
{
    http_listen l;
    error err;
    char reply[REPLY_BYTES];
    if (http_listen_parse(&l, o->text[OPTION_listen], &err)) {
        err.pointer[0] = '\0';
        text_complain(&err);
        return 2;
    }
    make_local(&l);
    struct timeval limit = {.tv_sec = TIMEOUT_MS / 1000};
    int fd = socket(l.family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit); /* of connect as well */
    bool answered = fd >= 0 && ask(fd, &l, reply, now_ms() + TIMEOUT_MS);
    if (!answered)
        fprintf(stderr, "normscope: no answer from %s: %s\n", o->text[OPTION_listen],
                strerror(errno));
    if (fd >= 0) close(fd);
    return answered ? print_reply(reply) : 1;
}

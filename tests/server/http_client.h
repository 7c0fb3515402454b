/* A raw HTTP client for the tests: bytes out, bytes in, nothing corrected on the way. */
#ifndef TESTS_SERVER_HTTP_CLIENT_H
#define TESTS_SERVER_HTTP_CLIENT_H

#include <arpa/inet.h>
#include <errno.h>
#include <poll.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

enum { CLIENT_MAX = 4 << 20 };

typedef struct client_reply {
    int status;  /* of the first reply; 0 when there was none */
    int replies; /* how many status lines came */
    bool closed; /* the server closed within the wait */
    size_t n;
    char *text;       /* all bytes, NUL-terminated */
    const char *body; /* of the first reply */
} client_reply;

static inline long client_now_ms(void)
{
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

static inline int client_connect(int port)
{
    struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof a) == 0) return fd;
    if (fd >= 0) close(fd);
    return -1;
}

static inline bool client_send(int fd, const void *bytes, size_t n)
{
    for (const char *p = bytes; n;) {
        ssize_t k = send(fd, p, n, MSG_NOSIGNAL);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

static inline bool client_send_text(int fd, const char *text)
{
    return client_send(fd, text, strlen(text));
}

/* Is the first reply whole? By Content-Length or the last chunk. */
static inline bool client_complete(const char *text, size_t n)
{
    const char *end = strstr(text, "\r\n\r\n");
    if (!end) return false;
    const char *length = strcasestr(text, "\r\nContent-Length: ");
    if (length && length < end)
        return n >= (size_t)(end + 4 - text) + strtoul(length + 18, NULL, 10);
    if (strstr(text, " 204 ") || strstr(text, " 304 ")) return true;
    return n >= 5 && memcmp(text + n - 5, "0\r\n\r\n", 5) == 0;
}

/* Reads until the server closes, or wait_ms have passed; with first, until the first reply is
 * whole. */
static inline client_reply client_read(int fd, int wait_ms, bool first)
{
    client_reply r = {.text = calloc(1, CLIENT_MAX)};
    long until = client_now_ms() + wait_ms;
    while (r.text && r.n < CLIENT_MAX - 1 && !(first && client_complete(r.text, r.n))) {
        struct pollfd p = {.fd = fd, .events = POLLIN};
        long left = until - client_now_ms();
        if (left <= 0 || poll(&p, 1, (int)left) <= 0) break;
        ssize_t k = recv(fd, r.text + r.n, CLIENT_MAX - 1 - r.n, 0);
        if (k <= 0) {
            r.closed = true;
            break;
        }
        r.n += (size_t)k;
    }
    for (const char *p = r.text; p && (p = strstr(p, "HTTP/1.")); p += 7)
        if (strlen(p) > 12 && p[8] == ' ' && p[9] >= '1' && p[9] <= '5') r.replies++;
    if (r.replies) r.status = atoi(strstr(r.text, "HTTP/1.") + 9);
    const char *end = r.text ? strstr(r.text, "\r\n\r\n") : NULL;
    r.body = end ? end + 4 : "";
    return r;
}

/* One connection, one request, one reply. */
static inline client_reply client_exchange(int port, const char *bytes, size_t n)
{
    client_reply r = {0};
    int fd = client_connect(port);
    if (fd >= 0 && client_send(fd, bytes, n)) r = client_read(fd, 5000, true);
    if (fd >= 0) close(fd);
    if (!r.text) r.text = calloc(1, 1), r.body = "";
    return r;
}

static inline client_reply client_ask(int port, const char *text)
{
    return client_exchange(port, text, strlen(text));
}

static inline void client_reply_free(client_reply *r)
{
    free(r->text);
    *r = (client_reply){0};
}

/* "Name: value" of the first reply; false when the header is absent. */
static inline bool client_header(const client_reply *r, const char *name, char *value, size_t size)
{
    char key[80];
    snprintf(key, sizeof key, "\r\n%s: ", name);
    const char *at = strcasestr(r->text, key);
    if (!at || at > r->body) return false;
    at += strlen(key);
    snprintf(value, size, "%.*s", (int)strcspn(at, "\r"), at);
    return true;
}

#endif

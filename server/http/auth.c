#include "server/http/auth.h"

#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <nettle/memops.h>
#include <nettle/sha2.h>
#include <string.h>
#include <strings.h>
#include <sys/stat.h>
#include <unistd.h>

static void digest_of(uint8_t out[HTTP_AUTH_DIGEST], const char *text, size_t n)
{
    struct sha256_ctx ctx;
    sha256_init(&ctx);
    sha256_update(&ctx, n, (const uint8_t *)text);
    sha256_digest(&ctx, HTTP_AUTH_DIGEST, out);
}

/* The host part of host[:port], lower case; false when it is not of that form. */
static bool host_part(char out[HTTP_AUTH_HOST], const char *host)
{
    const char *end = host[0] == '[' ? strchr(host, ']') : NULL;
    if (host[0] == '[' && !end) return false;
    size_t n = end ? (size_t)(end - host) + 1 : strcspn(host, ":");
    const char *rest = host + n;
    if (n == 0 || n >= HTTP_AUTH_HOST) return false;
    if (*rest) {
        size_t digits = strspn(rest + 1, "0123456789");
        if (*rest != ':' || digits > 5 || rest[1 + digits]) return false;
    }
    for (size_t i = 0; i < n; i++) {
        char c = host[i];
        if (c >= 'A' && c <= 'Z') c = (char)(c - 'A' + 'a');
        bool ok = (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
                  c == '_' || (end && (c == ':' || c == '[' || c == ']'));
        if (!ok) return false;
        out[i] = c;
    }
    if (n > 1 && !end && out[n - 1] == '.') n--; /* a fully qualified name */
    out[n] = '\0';
    return true;
}

static bool add_host(http_auth *a, const char *host)
{
    if (a->n_hosts == HTTP_AUTH_HOSTS || !host_part(a->hosts[a->n_hosts], host)) return false;
    a->n_hosts++;
    return true;
}

err_code
http_auth_init(http_auth *a, const char *address, bool loopback, const char *hosts, error *err)
{
    *a = (http_auth){.any_literal = !loopback};
    add_host(a, "localhost");
    add_host(a, "127.0.0.1");
    add_host(a, "[::1]");
    add_host(a, address);
    for (const char *p = hosts ? hosts : ""; *p;) {
        char name[HTTP_AUTH_HOST];
        p += strspn(p, ", ");
        size_t n = strcspn(p, ", ");
        if (n == 0) break;
        bool fits = n < sizeof name;
        if (fits) {
            memcpy(name, p, n);
            name[n] = '\0';
        }
        if (!fits || !add_host(a, name))
            return error_set(err, ERR_RANGE, "/hosts",
                             "\"%.*s\" is not a host name, or more than %d are given",
                             (int)(n < 60 ? n : 60), p, HTTP_AUTH_HOSTS - 4);
        p += n;
    }
    return ERR_OK;
}

/* Reads the one line of the file into out, NUL-terminated. */
static err_code read_token(char *out, size_t size, int fd, const char *path, error *err)
{
    size_t n = 0;
    while (n < size) {
        ssize_t got = read(fd, out + n, size - n);
        if (got < 0 && errno == EINTR) continue;
        if (got < 0) return error_set(err, ERR_IO, "/token_file", "%s: %s", path, strerror(errno));
        if (got == 0) break;
        n += (size_t)got;
    }
    while (n > 0 && (out[n - 1] == '\n' || out[n - 1] == '\r')) n--;
    if (n < 16 || n > 512)
        return error_set(err, ERR_RANGE, "/token_file", "%s: a token has 16 to 512 characters",
                         path);
    for (size_t i = 0; i < n; i++)
        if (out[i] <= ' ' || out[i] > '~')
            return error_set(err, ERR_RANGE, "/token_file",
                             "%s: one line of printable characters without spaces", path);
    out[n] = '\0';
    return ERR_OK;
}

/* "sha256:…": the hash is in the file. false: it begins like one and is none. */
static bool set_token(http_auth *a, const char *text)
{
    static const char digits[] = "0123456789abcdef";
    const char *hex = text + sizeof HTTP_AUTH_HASHED - 1;
    bool hashed = strncmp(text, HTTP_AUTH_HASHED, sizeof HTTP_AUTH_HASHED - 1) == 0;
    if (hashed && (strlen(hex) != 2 * HTTP_AUTH_DIGEST || hex[strspn(hex, digits)])) return false;
    for (int i = 0; hashed && i < HTTP_AUTH_DIGEST; i++)
        a->token[i] = (uint8_t)((strchr(digits, hex[2 * i]) - digits) * 16 +
                                (strchr(digits, hex[2 * i + 1]) - digits));
    if (!hashed) digest_of(a->token, text, strlen(text));
    a->is_hashed = hashed;
    a->has_token = true;
    return true;
}

err_code http_auth_token_file(http_auth *a, const char *path, error *err)
{
    int fd = open(path, O_RDONLY | O_NOFOLLOW | O_CLOEXEC | O_NONBLOCK | O_NOCTTY);
    if (fd < 0) return error_set(err, ERR_IO, "/token_file", "%s: %s", path, strerror(errno));
    err_code code = ERR_OK;
    struct stat st;
    char text[600] = "";
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode))
        code = error_set(err, ERR_IO, "/token_file", "%s is not a regular file", path);
    else if (st.st_mode & 077)
        code =
            error_set(err, ERR_IO, "/token_file", "%s can be read by others: chmod 600 it", path);
    else
        code = read_token(text, sizeof text - 1, fd, path, err);
    close(fd);
    if (code == ERR_OK && !set_token(a, text))
        code = error_set(err, ERR_RANGE, "/token_file",
                         "%s: after sha256: come 64 digits 0-9a-f and nothing else", path);
    explicit_bzero(text, sizeof text);
    return code;
}

static bool is_literal(const char *host)
{
    struct in_addr v4;
    struct in6_addr v6;
    char inner[INET6_ADDRSTRLEN];
    size_t n = strlen(host);
    if (host[0] != '[') return inet_pton(AF_INET, host, &v4) == 1;
    if (n < 4 || n - 2 >= sizeof inner) return false;
    memcpy(inner, host + 1, n - 2);
    inner[n - 2] = '\0';
    return inet_pton(AF_INET6, inner, &v6) == 1;
}

bool http_auth_host(const http_auth *a, const char *host)
{
    char name[HTTP_AUTH_HOST];
    if (!host_part(name, host)) return false;
    for (int i = 0; i < a->n_hosts; i++)
        if (strcmp(a->hosts[i], name) == 0) return true;
    return a->any_literal && is_literal(name);
}

bool http_auth_origin(const char *origin, const char *host)
{
    const char *rest = NULL;
    if (strncasecmp(origin, "http://", 7) == 0) rest = origin + 7;
    if (strncasecmp(origin, "https://", 8) == 0) rest = origin + 8;
    return rest && strcasecmp(rest, host) == 0;
}

bool http_auth_token(const http_auth *a, const char *authorization)
{
    if (!a->has_token) return true;
    if (!authorization || strncasecmp(authorization, "Bearer ", 7) != 0) return false;
    const char *text = authorization + 7;
    text += strspn(text, " ");
    uint8_t digest[HTTP_AUTH_DIGEST];
    digest_of(digest, text, strlen(text));
    return memeql_sec(digest, a->token, sizeof digest) != 0;
}

/* Who may ask: the Host allow-list (against DNS rebinding), the Origin of unsafe requests, the
 * token.
 *
 * Any port is accepted in a Host: a tunnel or a container maps it. A name is what a rebinding
 * attack needs, so when the server listens on more than loopback every IP literal is accepted as
 * well.
 */
#ifndef SERVER_HTTP_AUTH_H
#define SERVER_HTTP_AUTH_H

#include "core/base/error.h"

#include <stdbool.h>
#include <stdint.h>

#define HTTP_AUTH_HASHED "sha256:"
enum { HTTP_AUTH_HOSTS = 32, HTTP_AUTH_HOST = 256, HTTP_AUTH_DIGEST = 32 };

typedef struct http_auth {
    char hosts[HTTP_AUTH_HOSTS][HTTP_AUTH_HOST]; /* lower case, IPv6 in brackets */
    int n_hosts;
    bool any_literal; /* not bound to loopback */
    bool has_token;
    bool is_hashed;                  /* the file held the hash, not the token */
    uint8_t token[HTTP_AUTH_DIGEST]; /* SHA-256 */
} http_auth;

/* hosts: comma list or NULL. address: the listen host, IPv6 in brackets. ERR_RANGE, pointer
 * "/hosts". */
err_code
http_auth_init(http_auth *a, const char *address, bool loopback, const char *hosts, error *err);

/* A regular file, no symbolic link, mode 0600 or less, 16 to 512 printable characters in one line:
 * the token, or HTTP_AUTH_HASHED and its SHA-256 in lower-case hex. a is changed only when all is
 * well. ERR_IO or ERR_RANGE, pointer "/token_file". */
err_code http_auth_token_file(http_auth *a, const char *path, error *err);

bool http_auth_host(const http_auth *a, const char *host);
bool http_auth_origin(const char *origin,
                      const char *host); /* the same host and port, http or https */
bool http_auth_token(const http_auth *a,
                     const char *authorization); /* true when none is required */

#endif

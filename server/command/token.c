#include "server/command/token.h"

#include "server/http/auth.h"
#include "server/text/text.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

enum { RANDOM_BYTES = 32 };

static bool random_token(char out[TOKEN_TEXT])
{
    unsigned char bytes[RANDOM_BYTES];
    if (getrandom(bytes, sizeof bytes, 0) != (ssize_t)sizeof bytes) return false;
    int n = snprintf(out, TOKEN_TEXT, "ns_");
    for (size_t i = 0; i < sizeof bytes; i++, n += 2)
        snprintf(out + n, TOKEN_TEXT - (size_t)n, "%02x", bytes[i]);
    explicit_bzero(bytes, sizeof bytes);
    return true;
}

static bool write_synced(int fd, const char *text)
{
    size_t n = strlen(text);
    return write(fd, text, n) == (ssize_t)n && fchmod(fd, 0600) == 0 && fsync(fd) == 0;
}

/* The name is in the directory for good only when that is synced too. */
static bool sync_directory(const char *path)
{
    char dir[4096];
    const char *slash = strrchr(path, '/');
    int n =
        snprintf(dir, sizeof dir, "%.*s", slash ? (int)(slash - path) + 1 : 1, slash ? path : ".");
    int fd = n < (int)sizeof dir ? open(dir, O_RDONLY | O_DIRECTORY | O_CLOEXEC) : -1;
    if (fd < 0) return false;
    bool ok = fsync(fd) == 0;
    close(fd);
    return ok;
}

static err_code put_file(const char *path, const char *line, bool replace, error *err)
{
    char temp[4096];
    err_code code = ERR_OK;
    if (snprintf(temp, sizeof temp, "%s.XXXXXX", path) >= (int)sizeof temp)
        return error_set(err, ERR_RANGE, "/token_file", "the name of the token file is too long");
    int fd = mkostemp(temp, O_CLOEXEC);
    if (fd < 0) return error_set(err, ERR_IO, "/token_file", "%s: %s", path, strerror(errno));
    bool ok = write_synced(fd, line);
    ok = close(fd) == 0 && ok;
    /* link does not replace what is there, rename does. */
    if (ok) ok = (replace ? rename(temp, path) : link(temp, path)) == 0;
    if (!ok)
        code = error_set(err, errno == EEXIST ? ERR_CONFLICT : ERR_IO, "/token_file", "%s: %s",
                         path, strerror(errno));
    if (!ok || !replace) unlink(temp);
    if (!code && !sync_directory(path))
        code = error_set(err, ERR_IO, "/token_file", "%s: %s", path, strerror(errno));
    return code;
}

err_code token_make(char out[TOKEN_TEXT], const char *path, bool replace, error *err)
{
    char hash[TEXT_SHA256], line[sizeof hash + sizeof HTTP_AUTH_HASHED + 1];
    if (!random_token(out)) return error_set(err, ERR_IO, "/token_file", "no random bytes");
    text_sha256(hash, out, strlen(out));
    snprintf(line, sizeof line, HTTP_AUTH_HASHED "%s\n", hash);
    err_code code = put_file(path, line, replace, err);
    if (code) explicit_bzero(out, TOKEN_TEXT);
    return code;
}

/* --- the command ------------------------------------------------------------------------------ */

static int complain(error *err)
{
    err->pointer[0] = '\0';
    text_complain(err);
    return 1;
}

static int make_another(const char *path)
{
    char text[TOKEN_TEXT];
    error err = {0};
    if (token_make(text, path, true, &err)) return complain(&err);
    printf("%s\n", text);
    fprintf(stderr,
            "This is the only time it is shown; %s holds its SHA-256.\n"
            "It counts when the daemon reads the file: at a restart, or at once with SIGHUP\n"
            "(kill -HUP PID, systemctl reload normscope, docker kill -s HUP CONTAINER).\n",
            path);
    explicit_bzero(text, sizeof text);
    return fflush(stdout) == 0 ? 0 : 1;
}

static int tell(const char *path)
{
    http_auth auth = {0};
    error err = {0};
    if (http_auth_token_file(&auth, path, &err)) return complain(&err);
    printf("%s holds %s.\n"
           "Send it as a header: Authorization: Bearer TOKEN\n"
           "Another one, in its place: normscope token --new --token-file %s\n",
           path, auth.is_hashed ? "the SHA-256 of the token, not the token" : "the token", path);
    return fflush(stdout) == 0 ? 0 : 1;
}

int token_main(const options *o)
{
    const char *path = o->text[OPTION_token_file];
    if (o->n_arguments || !path) {
        fputs("normscope: token needs --token-file FILE (or NORMSCOPE_TOKEN_FILE), and takes no "
              "arguments\n",
              stderr);
        return 2;
    }
    return o->flag[OPTION_new_token] ? make_another(path) : tell(path);
}

/* Tokens at rest, and what a service manager hands over. */
#include "server/command/token.h"
#include "server/http/auth.h"
#include "server/http/listen.h"
#include "server/machine/systemd.h"
#include "tests/server/temp.h"
#include "tests/suite.h"

#include <arpa/inet.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>

static temp t;
static char path[96];
static error err;

static void setup(void)
{
    temp_init(&t);
    snprintf(path, sizeof path, "%s/token", t.dir);
    err = (error){0};
}

static void teardown(void)
{
    temp_deinit(&t);
}

static void write_token(const char *text)
{
    unlink(path);
    FILE *f = fopen(path, "w");
    ck_assert_ptr_nonnull(f);
    ck_assert_int_eq(fchmod(fileno(f), 0600), 0);
    fputs(text, f);
    ck_assert_int_eq(fclose(f), 0);
}

static bool accepts(const http_auth *a, const char *token)
{
    char header[128];
    snprintf(header, sizeof header, "Bearer %s", token);
    return http_auth_token(a, header);
}

START_TEST(test_token_is_kept_as_its_hash)
{
    char token[TOKEN_TEXT], text[256] = "";
    http_auth a = {0};
    struct stat st;
    ck_assert_int_eq(token_make(token, path, false, &err), ERR_OK);
    ck_assert_int_eq(strlen(token), 3 + 64);
    ck_assert_int_eq(stat(path, &st), 0);
    ck_assert_int_eq(st.st_mode & 0777, 0600);
    FILE *f = fopen(path, "r");
    ck_assert_ptr_nonnull(fgets(text, sizeof text, f));
    fclose(f);
    ck_assert_ptr_null(strstr(text, token + 3));
    ck_assert_int_eq(http_auth_token_file(&a, path, &err), ERR_OK);
    ck_assert(a.has_token && a.is_hashed);
    ck_assert(accepts(&a, token));
    text[strcspn(text, "\n")] = '\0';
    ck_assert(!accepts(&a, text)); /* who reads the file has no token */
    token[10] = token[10] == 'a' ? 'b' : 'a';
    ck_assert(!accepts(&a, token));
}
END_TEST

START_TEST(test_token_is_not_replaced_unless_asked)
{
    char first[TOKEN_TEXT], second[TOKEN_TEXT];
    http_auth a = {0};
    ck_assert_int_eq(token_make(first, path, false, &err), ERR_OK);
    ck_assert_int_eq(token_make(second, path, false, &err), ERR_CONFLICT);
    ck_assert_int_eq(http_auth_token_file(&a, path, &err), ERR_OK);
    ck_assert(accepts(&a, first));
    ck_assert_int_eq(token_make(second, path, true, &err), ERR_OK);
    ck_assert_str_ne(first, second);
    ck_assert_int_eq(http_auth_token_file(&a, path, &err), ERR_OK);
    ck_assert(accepts(&a, second) && !accepts(&a, first));
}
END_TEST

START_TEST(test_token_leaves_no_file_where_it_fails)
{
    char token[TOKEN_TEXT], missing[128];
    snprintf(missing, sizeof missing, "%s/nowhere/token", t.dir);
    ck_assert_int_eq(token_make(token, missing, false, &err), ERR_IO);
    ck_assert_str_eq(err.pointer, "/token_file");
    ck_assert_int_eq(token_make(token, t.dir, true, &err), ERR_IO); /* a directory is there */
    ck_assert_str_eq(token, "");
}
END_TEST

START_TEST(test_token_file_refuses_what_only_looks_like_a_hash)
{
    static const char *const bad[] = {
        "sha256:0123456789abcdef\n",
        "sha256:c3b689e2e20532ba1bb13336367dc5352bb66f96115fae7cbd468737552e1eZZ\n",
        "sha256:C3B689E2E20532BA1BB13336367DC5352BB66F96115FAE7CBD468737552E1E21\n",
        "sha256:c3b689e2e20532ba1bb13336367dc5352bb66f96115fae7cbd468737552e1e2100\n"};
    http_auth a = {0};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) {
        write_token(bad[i]);
        ck_assert_int_eq(http_auth_token_file(&a, path, &err), ERR_RANGE);
        ck_assert_str_eq(err.pointer, "/token_file");
        ck_assert(!a.has_token);
    }
    write_token("a-token-in-clear-text\n");
    ck_assert_int_eq(http_auth_token_file(&a, path, &err), ERR_OK);
    ck_assert(accepts(&a, "a-token-in-clear-text") && !a.is_hashed);
}
END_TEST

/* --- systemd ---------------------------------------------------------------------------------- */

static int listening(int family)
{
    int fd = socket(family, SOCK_STREAM, 0);
    struct sockaddr_in v4 = {.sin_family = AF_INET, .sin_addr = {htonl(INADDR_LOOPBACK)}};
    if (family == AF_INET) ck_assert_int_eq(bind(fd, (struct sockaddr *)&v4, sizeof v4), 0);
    return fd;
}

/* In a child, where descriptor 3 is ours: what it takes, 255 when the variables are still there. */
static int taken(int fd, bool for_us, const char *count)
{
    pid_t child = fork();
    if (child == 0) {
        char pid[24];
        snprintf(pid, sizeof pid, "%d", for_us ? getpid() : 1);
        if (fd >= 0) dup2(fd, 3);
        setenv("LISTEN_PID", pid, 1);
        setenv("LISTEN_FDS", count, 1);
        int got = systemd_take_socket();
        _exit(getenv("LISTEN_PID") || getenv("LISTEN_FDS") ? 255 : got < 0 ? 0 : got);
    }
    int status;
    ck_assert_int_eq(waitpid(child, &status, 0), child);
    ck_assert(WIFEXITED(status));
    return WEXITSTATUS(status);
}

START_TEST(test_systemd_socket_is_taken_only_when_it_is_ours_and_listens)
{
    int fd = listening(AF_INET);
    ck_assert_int_eq(taken(fd, true, "1"), 0); /* not listening yet */
    ck_assert_int_eq(listen(fd, 5), 0);
    ck_assert_int_eq(taken(fd, true, "1"), 3);
    ck_assert_int_eq(taken(fd, false, "1"), 0);
    ck_assert_int_eq(taken(fd, true, "2"), 0);
    close(fd);
}
END_TEST

START_TEST(test_systemd_socket_says_where_it_listens)
{
    int fd = listening(AF_INET), port = 0;
    http_listen l;
    ck_assert_int_eq(listen(fd, 5), 0);
    ck_assert_int_eq(http_listen_given(&l, fd, &port, &err), ERR_OK);
    ck_assert(l.loopback && l.family == AF_INET && port > 0);
    ck_assert_str_eq(l.host, "127.0.0.1");
    close(fd);
    fd = socket(AF_UNIX, SOCK_STREAM, 0);
    ck_assert_int_eq(http_listen_given(&l, fd, &port, &err), ERR_IO);
    close(fd);
}
END_TEST

START_TEST(test_systemd_hears_that_it_is_ready)
{
    struct sockaddr_un a = {.sun_family = AF_UNIX};
    char text[32] = "";
    int fd = socket(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK, 0);
    snprintf(a.sun_path, sizeof a.sun_path, "%s/notify", t.dir);
    ck_assert_int_eq(bind(fd, (struct sockaddr *)&a, sizeof a), 0);
    unsetenv("NOTIFY_SOCKET");
    systemd_notify("READY=1");
    ck_assert_int_lt(recv(fd, text, sizeof text - 1, 0), 0);
    setenv("NOTIFY_SOCKET", a.sun_path, 1);
    systemd_notify("READY=1");
    ck_assert_int_eq(recv(fd, text, sizeof text - 1, 0), 7);
    ck_assert_str_eq(text, "READY=1");
    close(fd);
    systemd_notify("STOPPING=1"); /* nobody hears it, and nothing happens */
}
END_TEST

int main(void)
{
    Suite *s = suite_create("token");
    TCase *c = tcase_create("file");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_token_is_kept_as_its_hash);
    tcase_add_test(c, test_token_is_not_replaced_unless_asked);
    tcase_add_test(c, test_token_leaves_no_file_where_it_fails);
    tcase_add_test(c, test_token_file_refuses_what_only_looks_like_a_hash);
    suite_add_tcase(s, c);
    c = tcase_create("systemd");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_add_test(c, test_systemd_socket_is_taken_only_when_it_is_ours_and_listens);
    tcase_add_test(c, test_systemd_socket_says_where_it_listens);
    tcase_add_test(c, test_systemd_hears_that_it_is_ready);
    suite_add_tcase(s, c);
    return suite_run(s);
}

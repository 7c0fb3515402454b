/* The HTTP layer over raw sockets: framing, limits, deadlines, names of the server, problems. */
#include "server/http/http.h"
#include "tests/server/http_client.h"
#include "tests/server/temp.h"
#include "tests/suite.h"

#include <check.h>
#include <cjson/cJSON.h>
#include <fcntl.h>
#include <pthread.h>
#include <sys/stat.h>

#define H "Host: localhost\r\n"
#define GET_HEALTH "GET /healthz HTTP/1.1\r\n" H

static temp t;
static store *the_store;
static http *the_http;

static void start(const http_options *o)
{
    error e = {0};
    temp_init(&t);
    ck_assert_msg(store_open(&the_store, t.db, &e) == ERR_OK, "%s", e.message);
    ck_assert_msg(http_start(&the_http, the_store, NULL, o, &e) == ERR_OK, "%s", e.message);
}

static http_options options(void)
{
    return (http_options){.listen = "127.0.0.1:0", .limits = limits_default()};
}

static void setup(void)
{
    http_options o = options();
    o.limits.body_bytes = 4096;
    o.corpus_bytes = 10000;
    start(&o);
}

static void setup_hasty(void)
{
    http_options o = options();
    o.header_ms = 400;
    o.idle_ms = 600;
    o.body_ms = 500;
    o.connections = 20;
    start(&o);
}

static void teardown(void)
{
    http_stop(the_http);
    store_close(the_store);
    temp_deinit(&t);
}

static client_reply ask(const char *text)
{
    return client_ask(http_port(the_http), text);
}

/* --- framing --- */

/* Each smuggles a second request if it is believed: one reply, 400, then the connection is closed.
 */
static const struct {
    const char *what, *bytes;
} bad_frames[] = {
    {"two equal lengths", GET_HEALTH "Content-Length: 0\r\nContent-Length: 0\r\n\r\n"},
    {"two lengths", "POST /api/v1/estimate HTTP/1.1\r\n" H
                    "Content-Type: application/json\r\nContent-Length: 2\r\n"
                    "Content-Length: 40\r\n\r\n{}" GET_HEALTH "\r\n"},
    {"length and coding", "POST /api/v1/estimate HTTP/1.1\r\n" H
                          "Content-Type: application/json\r\nContent-Length: 2\r\n"
                          "Transfer-Encoding: chunked\r\n\r\n2\r\n{}\r\n0\r\n\r\n"},
    {"coding and length",
     "POST /api/v1/estimate HTTP/1.1\r\n" H "Content-Type: application/json\r\n"
     "Transfer-Encoding: chunked\r\nContent-Length: 2\r\n\r\n2\r\n{}\r\n0\r\n\r\n"},
    {"two codings", "POST /api/v1/estimate HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n"
                    "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    {"coding on 1.0",
     "POST /api/v1/estimate HTTP/1.0\r\n" H "Transfer-Encoding: chunked\r\n\r\n0\r\n\r\n"},
    {"space before the colon", "POST /api/v1/estimate HTTP/1.1\r\n" H "Content-Length: 0\r\n"
                               "Transfer-Encoding : chunked\r\n\r\n" GET_HEALTH "\r\n"},
    {"gzip coding",
     "POST /api/v1/estimate HTTP/1.1\r\n" H "Transfer-Encoding: gzip\r\n\r\n0\r\n\r\n"},
    {"xchunked",
     "POST /api/v1/estimate HTTP/1.1\r\n" H "Transfer-Encoding: xchunked\r\n\r\n0\r\n\r\n"},
    {"chunked twice in one",
     "POST /api/v1/estimate HTTP/1.1\r\n" H "Transfer-Encoding: chunked, chunked\r\n\r\n0\r\n\r\n"},
    {"two hosts", GET_HEALTH "Host: localhost\r\n\r\n"},
    {"no host", "GET /healthz HTTP/1.1\r\nX: y\r\n\r\n"},
    {"no host on 1.0", "GET /healthz HTTP/1.0\r\nX: y\r\n\r\n"},
    {"an empty host", "GET /healthz HTTP/1.1\r\nHost:\r\n\r\n"},
    {"two types", GET_HEALTH "Content-Type: a/b\r\nContent-Type: a/b\r\n\r\n"},
    {"two tokens", GET_HEALTH "Authorization: Bearer a\r\nAuthorization: Bearer b\r\n\r\n"},
    {"a control byte in a name", GET_HEALTH "\x01\x7f: b\r\n\r\n"},
    {"a space in a name", GET_HEALTH "a b: c\r\n\r\n"},
    {"a name of UTF-8", GET_HEALTH "\xc3\xa4: c\r\n\r\n"},
    {"a control byte in a value", GET_HEALTH "X: a\x01z\r\n\r\n"},
    {"an unknown expectation", GET_HEALTH "Expect: miracles\r\n\r\n"},
    {"another site's name", "GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n"},
    {"a name that begins like ours",
     "GET /healthz HTTP/1.1\r\nHost: localhost.evil.example\r\n\r\n"},
    {"a user in the host", "GET /healthz HTTP/1.1\r\nHost: localhost@evil.example\r\n\r\n"},
    {"a host with a bad port", "GET /healthz HTTP/1.1\r\nHost: localhost:80a\r\n\r\n"},
    {"an address that is not ours", "GET /healthz HTTP/1.1\r\nHost: 192.0.2.1\r\n\r\n"},
    {"a foreign authority", "GET http://evil.example/healthz HTTP/1.1\r\n" H "\r\n"},
    {"a raw quote in the target", "GET /healthz?\"x HTTP/1.1\r\n" H "\r\n"},
};

START_TEST(test_http_refuses_bad_frames)
{
    int fd = client_connect(http_port(the_http));
    ck_assert(client_send_text(fd, bad_frames[_i].bytes));
    client_reply r = client_read(fd, 3000, false);
    close(fd);
    ck_assert_msg(r.status == 400, "%s: %d\n%s", bad_frames[_i].what, r.status, r.text);
    ck_assert_msg(r.replies == 1, "%s: %d replies\n%s", bad_frames[_i].what, r.replies, r.text);
    ck_assert_msg(r.closed, "%s: left open\n%s", bad_frames[_i].what, r.text);
    client_reply_free(&r);
}
END_TEST

/* Refused by the library before we see them, with a page of its own. */
static const struct {
    const char *what, *bytes;
} unframed[] = {
    {"a length of letters", GET_HEALTH "Content-Length: two\r\n\r\n"},
    {"a signed length", "POST /api/v1/estimate HTTP/1.1\r\n" H "Content-Length: +2\r\n\r\n{}"},
    {"a length beyond 64 bits",
     "POST /api/v1/estimate HTTP/1.1\r\n" H "Content-Length: 18446744073709551618\r\n\r\n{}"},
    {"a request line of one word", "GET\r\n" H "\r\n"},
    {"another protocol", "GET /healthz SIP/2.0\r\n" H "\r\n"},
    {"a later protocol", "GET /healthz HTTP/2.0\r\n" H "\r\n"},
    {"a chunk size of letters",
     "POST /api/v1/estimate HTTP/1.1\r\n" H "Content-Type: application/json\r\n"
     "Transfer-Encoding: chunked\r\n\r\nzz\r\n{}\r\n0\r\n\r\n"},
    {"a chunk longer than its size",
     "POST /api/v1/estimate HTTP/1.1\r\n" H "Content-Type: application/json\r\n"
     "Transfer-Encoding: chunked\r\n\r\n2\r\n{}xx\r\n0\r\n\r\n"},
    {"binary", "\x16\x03\x01\x02\x01\x03\x03\r\n\r\n"},
};

START_TEST(test_http_closes_on_what_is_not_http)
{
    int fd = client_connect(http_port(the_http));
    ck_assert(client_send_text(fd, unframed[_i].bytes));
    client_reply r = client_read(fd, 3000, false);
    close(fd);
    ck_assert_msg(r.status == 0 || r.status >= 400, "%s: %d", unframed[_i].what, r.status);
    ck_assert_msg(r.closed, "%s: left open\n%s", unframed[_i].what, r.text);
    client_reply_free(&r);
}
END_TEST

static const char *const good_frames[] = {
    GET_HEALTH "\r\n",
    "GET /api/v1 HTTP/1.0\r\n" H "\r\n",
    "GET /api/v1 HTTP/1.1\r\nHost: LOCALHOST:9999\r\n\r\n",
    "GET /api/v1 HTTP/1.1\r\nHost: 127.0.0.1\r\n\r\n",
    "GET /api/v1 HTTP/1.1\r\nHost: [::1]:80\r\n\r\n",
    "GET http://localhost/api/v1 HTTP/1.1\r\n" H "\r\n",
    "GET /api/v1 HTTP/1.1\r\n" H "x-any!#$%&'*+-.^_`|~: \t v\xc3\xa4lue \r\n\r\n",
    "POST /api/v1/estimate HTTP/1.1\r\n" H "Content-Type: application/json\r\n"
    "Transfer-Encoding: Chunked\r\n\r\n1\r\n{\r\n1\r\n}\r\n0\r\n\r\n",
    "POST /api/v1/estimate HTTP/1.1\r\n" H "Content-Type: application/json; charset=utf-8\r\n"
    "Content-Length: 2\r\nExpect: 100-continue\r\n\r\n{}",
};

START_TEST(test_http_takes_good_frames)
{
    client_reply r = ask(good_frames[_i]);
    const char *last = r.text; /* after a 100 */
    for (const char *p = r.text; (p = strstr(p, "HTTP/1.1 ")); p++) last = p;
    if (strstr(r.text, " 100 ") && r.replies == 1) last = " 200 "; /* read stopped at the 100 */
    ck_assert_msg(strstr(last, " 200 ") || strstr(r.text, "HTTP/1.1 503"), "%s\n->\n%s",
                  good_frames[_i], r.text);
    client_reply_free(&r);
}
END_TEST

START_TEST(test_http_keeps_a_connection_for_the_next_request)
{
    int fd = client_connect(http_port(the_http));
    for (int i = 0; i < 5; i++) {
        ck_assert(client_send_text(fd, "GET /api/v1/version HTTP/1.1\r\n" H "\r\n"));
        client_reply r = client_read(fd, 3000, true);
        ck_assert_int_eq(r.status, 200);
        client_reply_free(&r);
    }
    close(fd);
}
END_TEST

/* --- what a request may be --- */

static const struct {
    const char *bytes;
    int status;
    const char *says; /* in the body */
} requests[] = {
    {"GET /nothing HTTP/1.1\r\n" H "\r\n", 404, "no_route"},
    {"GET /api/v1/jobs/1/ HTTP/1.1\r\n" H "\r\n", 404, "no_route"},
    {"GET //api/v1 HTTP/1.1\r\n" H "\r\n", 404, "no_route"},
    {"GET /a/b/c/d/e/f/g/h/i/j/k HTTP/1.1\r\n" H "\r\n", 404, "no_route"},
    {"GET /api/v1/jobs/7 HTTP/1.1\r\n" H "\r\n", 404, "not_found"},
    {"GET /api/v1/jobs/abc HTTP/1.1\r\n" H "\r\n", 404, "not_found"},
    {"GET /api/v1/jobs/99999999999999999999 HTTP/1.1\r\n" H "\r\n", 404, "not_found"},
    {"GET /api/v1/jobs/7/series HTTP/1.1\r\n" H "\r\n", 404, "not_found"},
    {"GET /api/v1/jobs/7/chart HTTP/1.1\r\n" H "\r\n", 404, "not_found"},
    {"GET /api/v1/jobs/7/events HTTP/1.1\r\n" H "\r\n", 404, "not_found"},
    {"GET /api/v1/runs/7 HTTP/1.1\r\n" H "\r\n", 404, "not_found"},
    {"GET /api/v1/registries/none HTTP/1.1\r\n" H "\r\n", 404, "not_found"},
    {"GET /api/v1/schema/none HTTP/1.1\r\n" H "\r\n", 404, "not_found"},
    {"DELETE /api/v1/jobs/7 HTTP/1.1\r\n" H "\r\n", 404, "not_found"},
    {"POST /api/v1/jobs/7/cancel HTTP/1.1\r\n" H "Content-Length: 0\r\n\r\n", 404, "not_found"},
    {"POST /api/v1/jobs/7/cancel HTTP/1.1\r\n" H
     "Content-Type: application/json\r\nContent-Length: 7\r\n\r\n{\"a\":1}",
     400, "bad_request"},
    {"GET /api/v1/jobs?x=1 HTTP/1.1\r\n" H "\r\n", 400, "\"parameter\":\"x\""},
    {"GET /api/v1/jobs?limit=1&limit=2 HTTP/1.1\r\n" H "\r\n", 400, "twice"},
    {"GET /api/v1/jobs?limit=201 HTTP/1.1\r\n" H "\r\n", 400, "\"parameter\":\"limit\""},
    {"GET /api/v1/jobs?limit=0x9 HTTP/1.1\r\n" H "\r\n", 400, "\"parameter\":\"limit\""},
    {"GET /api/v1/jobs?limit= HTTP/1.1\r\n" H "\r\n", 400, "\"parameter\":\"limit\""},
    {"GET /api/v1/jobs?state=on HTTP/1.1\r\n" H "\r\n", 400, "\"parameter\":\"state\""},
    {"GET /api/v1/jobs/7/series?metric=varr HTTP/1.1\r\n" H "\r\n", 400, "did you mean"},
    {"GET /api/v1/jobs/7/series?metric= HTTP/1.1\r\n" H "\r\n", 400, "\"parameter\":\"metric\""},
    {"GET /api/v1/jobs/7/series?param='x HTTP/1.1\r\n" H "\r\n", 400, "\"parameter\":\"param\""},
    {"GET /api/v1/jobs/7/series?layer=-2 HTTP/1.1\r\n" H "\r\n", 400, "\"parameter\":\"layer\""},
    {"GET /api/v1/jobs/7/series?format=xml HTTP/1.1\r\n" H "\r\n", 400, "\"parameter\":\"format\""},
    {"GET /api/v1/jobs/7/series HTTP/1.1\r\n" H "Accept: text/html\r\n\r\n", 406, "not_acceptable"},
    {"GET /api/v1/jobs?limit=%zz HTTP/1.1\r\n" H "\r\n", 400, "percent"},
    {"GET /api/v1/jobs?limit=%00 HTTP/1.1\r\n" H "\r\n", 400, "percent"},
    {"GET /api/v1%00/x HTTP/1.1\r\n" H "\r\n", 400, "percent"},
    {"GET /static/../Makefile HTTP/1.1\r\n" H "\r\n", 404, "no_route"},
    {"GET /static/..%2fMakefile HTTP/1.1\r\n" H "\r\n", 404, "no_route"},
    {"GET /static/%2e%2e/Makefile HTTP/1.1\r\n" H "\r\n", 404, "no_route"},
    {"GET /static// HTTP/1.1\r\n" H "\r\n", 404, "no_route"},
    {"PUT /api/v1/jobs HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\n{}", 405, "method_not_allowed"},
    {"BREW / HTTP/1.1\r\n" H "\r\n", 405, "method_not_allowed"},
    {"GET /api/v1/jobs HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\n{}", 400, "no body"},
    {"POST /api/v1/jobs HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\n{}", 415, "absent"},
    {"POST /api/v1/jobs HTTP/1.1\r\n" H "Content-Type: text/plain\r\nContent-Length: 2\r\n\r\n{}",
     415, "text/plain"},
    {"POST /api/v1/jobs HTTP/1.1\r\n" H
     "Content-Type: multipart/form-data; boundary=x\r\nContent-Length: 2\r\n\r\n{}",
     415, "unsupported_type"},
    {"POST /api/v1/jobs HTTP/1.1\r\n" H
     "Content-Type: application/jsonp\r\nContent-Length: 2\r\n\r\n{}",
     415, "jsonp"},
    {"POST /api/v1/jobs HTTP/1.1\r\n" H
     "Content-Type: application/json\r\nContent-Length: 5000\r\n\r\n",
     413, "4096"},
    {"POST /api/v1/jobs HTTP/1.1\r\n" H
     "Content-Type: application/json\r\nContent-Length: 0\r\n\r\n",
     400, "\"json\""},
    {"POST /api/v1/jobs HTTP/1.1\r\n" H
     "Content-Type: application/json\r\nContent-Length: 11\r\n\r\n{\"depth\":0}",
     422, "\"pointer\":\"/depth\""},
    {"POST /api/v1/jobs HTTP/1.1\r\n" H
     "Content-Type: application/json\r\nContent-Length: 51\r\n\r\n"
     "{\"data\":{\"source\":\"text\",\"corpus\":\"nowhere\"},\"a\":1}",
     422, "\"pointer\":\"/a\""},
    {"PUT /api/v1/corpora/.x HTTP/1.1\r\n" H "Content-Length: 2\r\n\r\nab", 422, "\"range\""},
    {"POST /api/v1/jobs HTTP/1.1\r\n" H
     "Origin: http://evil.example\r\nContent-Type: application/json\r\n"
     "Content-Length: 2\r\n\r\n{}",
     403, "bad_origin"},
    {"POST /api/v1/jobs HTTP/1.1\r\n" H
     "Origin: null\r\nContent-Type: application/json\r\nContent-Length: 2\r\n\r\n{}",
     403, "bad_origin"},
    {"POST /api/v1/jobs HTTP/1.1\r\n" H
     "Origin: http://localhost:81\r\nContent-Type: application/json\r\n"
     "Content-Length: 2\r\n\r\n{}",
     403, "bad_origin"},
    {"DELETE /api/v1/jobs/1 HTTP/1.1\r\n" H "Sec-Fetch-Site: cross-site\r\n\r\n", 403,
     "bad_origin"},
    {"OPTIONS /api/v1/jobs HTTP/1.1\r\n" H "Origin: http://evil.example\r\n\r\n", 403,
     "bad_origin"},
};

/* Each refusal is a whole problem document, and the connection works on. */
START_TEST(test_http_answers_faults_with_problems)
{
    int fd = client_connect(http_port(the_http));
    bool short_body = requests[_i].status == 413;
    ck_assert(client_send_text(fd, requests[_i].bytes));
    if (short_body) { /* what it announced, so that the reply comes */
        char *filler = calloc(1, 5000);
        ck_assert(client_send(fd, filler, 5000));
        free(filler);
    }
    client_reply r = client_read(fd, 3000, true);
    ck_assert_msg(r.status == requests[_i].status, "%s\n->\n%s", requests[_i].bytes, r.text);
    ck_assert_msg(strstr(r.body, requests[_i].says) != NULL, "%s\n->\n%s", requests[_i].bytes,
                  r.text);
    char type[64] = "";
    client_header(&r, "Content-Type", type, sizeof type);
    ck_assert_str_eq(type, "application/problem+json");
    cJSON *problem = cJSON_Parse(r.body);
    ck_assert_ptr_nonnull(problem);
    ck_assert_int_eq(cJSON_GetObjectItem(problem, "status")->valueint, r.status);
    const char *const members[] = {"type", "title", "detail", "code"};
    for (int i = 0; i < 4; i++) ck_assert(cJSON_IsString(cJSON_GetObjectItem(problem, members[i])));
    cJSON_Delete(problem);
    client_reply_free(&r);
    ck_assert(client_send_text(fd, "GET /api/v1 HTTP/1.1\r\n" H "\r\n"));
    r = client_read(fd, 3000, true);
    ck_assert_msg(r.status == 200, "after %s\n->\n%s", requests[_i].bytes, r.text);
    client_reply_free(&r);
    close(fd);
}
END_TEST

START_TEST(test_http_grants_nothing_to_other_sites)
{
    client_reply r = ask("OPTIONS /api/v1/jobs HTTP/1.1\r\n" H "Origin: http://localhost\r\n"
                         "Access-Control-Request-Method: POST\r\n\r\n");
    char allow[80] = "";
    ck_assert_int_eq(r.status, 204);
    ck_assert(client_header(&r, "Allow", allow, sizeof allow));
    ck_assert_str_eq(allow, "POST, GET, HEAD, OPTIONS");
    ck_assert_ptr_null(strcasestr(r.text, "Access-Control"));
    client_reply_free(&r);
    r = ask("GET /api/v1 HTTP/1.1\r\n" H "Origin: http://evil.example\r\n\r\n");
    ck_assert_int_eq(r.status, 200);
    ck_assert_ptr_null(strcasestr(r.text, "Access-Control"));
    client_reply_free(&r);
}
END_TEST

START_TEST(test_http_puts_its_headers_on_everything)
{
    static const char *const asked[] = {
        "GET / HTTP/1.1\r\n" H "\r\n",
        "GET /healthz HTTP/1.1\r\n" H "\r\n",
        "GET /nothing HTTP/1.1\r\n" H "\r\n",
        "GET /healthz HTTP/1.1\r\nHost: evil.example\r\n\r\n",
        "GET /api/v1/jobs HTTP/1.1\r\n" H "\r\n",
    };
    static const char *const wanted[] = {"Content-Security-Policy", "X-Content-Type-Options",
                                         "Referrer-Policy", "Cache-Control", "X-Frame-Options"};
    char value[256];
    client_reply r = ask(asked[_i]);
    for (int i = 0; i < 5; i++)
        ck_assert_msg(client_header(&r, wanted[i], value, sizeof value), "%s without %s", asked[_i],
                      wanted[i]);
    client_header(&r, "Content-Security-Policy", value, sizeof value);
    ck_assert_ptr_nonnull(strstr(value, "default-src 'self'"));
    ck_assert_ptr_nonnull(strstr(value, "frame-ancestors 'none'"));
    ck_assert_ptr_null(strstr(value, "unsafe"));
    client_reply_free(&r);
}
END_TEST

START_TEST(test_http_head_is_get_without_body)
{
    client_reply get = ask("GET /api/v1/version HTTP/1.1\r\n" H "\r\n");
    int fd = client_connect(http_port(the_http));
    ck_assert(
        client_send_text(fd, "HEAD /api/v1/version HTTP/1.1\r\n" H "Connection: close\r\n\r\n"));
    client_reply head = client_read(fd, 3000, false);
    close(fd);
    char a[32] = "a", b[32] = "b";
    client_header(&get, "Content-Length", a, sizeof a);
    client_header(&head, "Content-Length", b, sizeof b);
    ck_assert_int_eq(head.status, 200);
    ck_assert_str_eq(a, b);
    ck_assert_str_eq(head.body, "");
    client_reply_free(&get);
    client_reply_free(&head);
}
END_TEST

/* --- sizes --- */

static client_reply post_chunks(size_t total)
{
    client_reply r;
    char piece[1100];
    int fd = client_connect(http_port(the_http));
    client_send_text(fd, "POST /api/v1/estimate HTTP/1.1\r\n" H
                         "Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n");
    int head = snprintf(piece, sizeof piece, "400\r\n");
    memset(piece + head, ' ', 1024);
    memcpy(piece + head + 1024, "\r\n", 2);
    for (size_t n = 0; n < total; n += 1024)
        if (!client_send(fd, piece, (size_t)head + 1026)) break;
    client_send_text(fd, "0\r\n\r\n");
    r = client_read(fd, 5000, true);
    close(fd);
    return r;
}

START_TEST(test_http_caps_chunked_bodies)
{
    client_reply r = post_chunks(4096); /* at the limit: only blanks, so not JSON */
    ck_assert_msg(r.status == 400, "%s", r.text);
    client_reply_free(&r);
    r = post_chunks(5120);
    ck_assert_msg(r.status == 413, "%s", r.text);
    client_reply_free(&r);
    r = post_chunks(20 << 20);
    ck_assert_msg(r.status == 413, "%s", r.text);
    client_reply_free(&r);
}
END_TEST

START_TEST(test_http_answers_413_before_the_body_when_asked_to)
{
    int fd = client_connect(http_port(the_http));
    ck_assert(client_send_text(fd, "PUT /api/v1/corpora/big HTTP/1.1\r\n" H
                                   "Content-Length: 20000\r\nExpect: 100-continue\r\n\r\n"));
    client_reply r = client_read(fd, 3000, false);
    ck_assert_int_eq(r.status, 413);
    ck_assert(r.closed);
    client_reply_free(&r);
    close(fd);
}
END_TEST

START_TEST(test_http_survives_many_ampersands_and_long_headers)
{
    char *text = malloc(70000);
    for (int n = 100; n <= 60000; n *= 3) {
        int k = sprintf(text, "GET /x?");
        memset(text + k, '&', (size_t)n);
        strcpy(text + k + n, " HTTP/1.1\r\n" H "\r\n");
        int fd = client_connect(http_port(the_http));
        client_send_text(fd, text);
        client_reply r = client_read(fd, 300, true);
        ck_assert_msg(r.status == 0 || (r.status >= 400 && r.status < 500), "%d: %s", n, r.text);
        client_reply_free(&r);
        close(fd);
        k = sprintf(text, GET_HEALTH "X: ");
        memset(text + k, 'a', (size_t)n);
        strcpy(text + k + n, "\r\n\r\n");
        fd = client_connect(http_port(the_http));
        client_send_text(fd, text);
        r = client_read(fd, 300, true);
        client_reply_free(&r);
        close(fd);
    }
    free(text);
    client_reply r = ask("GET /api/v1 HTTP/1.1\r\n" H "\r\n");
    ck_assert_int_eq(r.status, 200);
    client_reply_free(&r);
}
END_TEST

START_TEST(test_http_survives_clients_that_leave)
{
    static const char *const pieces[] = {
        "",
        "G",
        "GET /healthz HTTP/1.1\r\n",
        GET_HEALTH "X",
        "POST /api/v1/estimate HTTP/1.1\r\n" H
        "Content-Type: application/json\r\nContent-Length: 100\r\n\r\n{\"a\"",
        "PUT /api/v1/corpora/x HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n4\r\nab",
        GET_HEALTH "\r\n",
        "GET /static/vendor/d3.min.js HTTP/1.1\r\n" H "\r\n",
    };
    for (int i = 0; i < 400; i++) {
        int fd = client_connect(http_port(the_http));
        ck_assert_int_ge(fd, 0);
        client_send_text(fd, pieces[i % 8]);
        if (i % 3 == 0) { /* with a reset */
            struct linger hard = {1, 0};
            setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
        }
        close(fd);
    }
    client_reply r = ask("GET /api/v1 HTTP/1.1\r\n" H "\r\n");
    ck_assert_int_eq(r.status, 200);
    client_reply_free(&r);
}
END_TEST

/* --- deadlines --- */

/* One byte every 50 ms; how long until the server closes. */
static long dribble(const char *begin, char byte)
{
    int fd = client_connect(http_port(the_http));
    long from = client_now_ms();
    client_send_text(fd, begin);
    for (;;) {
        char buffer[512];
        struct pollfd p = {.fd = fd, .events = POLLIN};
        client_send(fd, &byte, 1);
        if (poll(&p, 1, 50) > 0 && recv(fd, buffer, sizeof buffer, 0) <= 0) break;
        if (client_now_ms() - from > 10000) break;
    }
    close(fd);
    return client_now_ms() - from;
}

START_TEST(test_http_cuts_one_byte_clients)
{
    static const struct {
        const char *begin;
        char byte;
        long least;
    } slow[] = {
        {"GET /he", 'a', 300},
        {GET_HEALTH "X: ", 'a', 300},
        {"PUT /api/v1/corpora/x HTTP/1.1\r\n" H "Content-Length: 1000\r\n\r\n", 'a', 400},
        {"PUT /api/v1/corpora/x HTTP/1.1\r\n" H "Transfer-Encoding: chunked\r\n\r\n3e8\r\n", 'a',
         400},
    };
    long took = dribble(slow[_i].begin, slow[_i].byte);
    ck_assert_int_ge(took, slow[_i].least);
    ck_assert_int_le(took, 2500);
}
END_TEST

START_TEST(test_http_cuts_idle_connections)
{
    int fd = client_connect(http_port(the_http));
    ck_assert(client_send_text(fd, "GET /api/v1 HTTP/1.1\r\n" H "\r\n"));
    client_reply r = client_read(fd, 3000, true);
    ck_assert_int_eq(r.status, 200);
    client_reply_free(&r);
    long from = client_now_ms();
    r = client_read(fd, 5000, false);
    ck_assert(r.closed);
    ck_assert_int_ge(client_now_ms() - from, 400);
    ck_assert_int_le(client_now_ms() - from, 2500);
    client_reply_free(&r);
    close(fd);
}
END_TEST

/* 60 half requests on a server of 20 places: others are still served at once. */
START_TEST(test_http_serves_others_when_the_table_is_full)
{
    int slow[60];
    for (int i = 0; i < 60; i++) {
        slow[i] = client_connect(http_port(the_http));
        ck_assert_int_ge(slow[i], 0);
        client_send_text(slow[i], GET_HEALTH "X: ");
        if (i % 10 != 9) continue;
        long from = client_now_ms();
        client_reply r = ask("GET /api/v1 HTTP/1.1\r\n" H "\r\n");
        ck_assert_msg(r.status == 200, "with %d slow clients: %d", i + 1, r.status);
        ck_assert_int_le(client_now_ms() - from, 300);
        client_reply_free(&r);
    }
    for (int i = 0; i < 60; i++) close(slow[i]);
}
END_TEST

/* --- tokens and addresses --- */

static void write_token(char path[96], int mode)
{
    snprintf(path, 96, "%s/token", t.dir);
    int fd = open(path, O_WRONLY | O_CREAT | O_TRUNC, 0600);
    ck_assert_int_ge(fd, 0);
    ck_assert_int_eq(write(fd, "0123456789abcdefXYZ\n", 20), 20);
    ck_assert_int_eq(fchmod(fd, (mode_t)mode), 0);
    close(fd);
}

START_TEST(test_http_asks_for_the_token)
{
    http_options o = options();
    char path[96];
    error e = {0};
    http *second;
    write_token(path, 0600);
    o.token_file = path;
    ck_assert_int_eq(http_start(&second, the_store, NULL, &o, &e), ERR_OK);
    static const struct {
        const char *text;
        int status;
    } asked[] = {
        {"GET /api/v1/jobs HTTP/1.1\r\n" H "\r\n", 401},
        {"GET /%61pi/v1/jobs HTTP/1.1\r\n" H "\r\n", 401},
        {"GET http://localhost/api/v1/jobs HTTP/1.1\r\n" H "\r\n", 401},
        {"GET /api/v1/nothing HTTP/1.1\r\n" H "\r\n", 401},
        {"GET /api/v1/jobs HTTP/1.1\r\n" H "Authorization: Bearer 0123456789abcdefXY\r\n\r\n", 401},
        {"GET /api/v1/jobs HTTP/1.1\r\n" H "Authorization: Basic 0123456789abcdefXYZ\r\n\r\n", 401},
        {"GET /api/v1/jobs?token=0123456789abcdefXYZ HTTP/1.1\r\n" H "\r\n", 401},
        {"GET /api/v1/jobs HTTP/1.1\r\n" H "Authorization: bearer 0123456789abcdefXYZ\r\n\r\n",
         200},
        {"GET / HTTP/1.1\r\n" H "\r\n", 200},
        {"GET /healthz HTTP/1.1\r\n" H "\r\n", 503}, /* open; no workers here */
    };
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++) {
        client_reply r = client_ask(http_port(second), asked[i].text);
        ck_assert_msg(r.status == asked[i].status, "%s -> %s", asked[i].text, r.text);
        if (r.status == 401) ck_assert_ptr_nonnull(strstr(r.text, "WWW-Authenticate: Bearer"));
        client_reply_free(&r);
    }
    http_stop(second);
}
END_TEST

START_TEST(test_http_refuses_unsafe_starts)
{
    http_options o = options();
    char path[96], link[120];
    error e = {0};
    http *second;
    o.listen = "0.0.0.0:0";
    ck_assert_int_eq(http_start(&second, the_store, NULL, &o, &e), ERR_COMBINATION);
    ck_assert_str_eq(e.pointer, "/token_file");
    o.listen = "127.0.0.1:0";
    write_token(path, 0640);
    o.token_file = path;
    ck_assert_int_eq(http_start(&second, the_store, NULL, &o, &e), ERR_IO);
    write_token(path, 0600);
    snprintf(link, sizeof link, "%s/link", t.dir);
    ck_assert_int_eq(symlink(path, link), 0);
    o.token_file = link;
    ck_assert_int_eq(http_start(&second, the_store, NULL, &o, &e), ERR_IO);
    ck_assert_str_eq(e.pointer, "/token_file");
    o = options();
    char taken[32];
    snprintf(taken, sizeof taken, "127.0.0.1:%d", http_port(the_http));
    o.listen = taken;
    ck_assert_int_eq(http_start(&second, the_store, NULL, &o, &e), ERR_IO);
    ck_assert_ptr_nonnull(strstr(e.message, "taken"));
    static const char *const wrong[] = {
        "nonsense", "127.0.0.1:", "127.0.0.1:70000", "1.2.3:80", "[::1:80", "host:80", ""};
    for (int i = 0; i < 7; i++) {
        o.listen = wrong[i];
        ck_assert_msg(http_start(&second, the_store, NULL, &o, &e) == ERR_RANGE, "%s", wrong[i]);
        ck_assert_str_eq(e.pointer, "/listen");
    }
}
END_TEST

START_TEST(test_http_answers_for_the_names_it_is_given)
{
    http_options o = options();
    error e = {0};
    http *second;
    o.hosts = "probe.example, Other.Example";
    ck_assert_int_eq(http_start(&second, the_store, NULL, &o, &e), ERR_OK);
    client_reply r =
        client_ask(http_port(second), "GET /api/v1 HTTP/1.1\r\nHost: PROBE.example:443\r\n\r\n");
    ck_assert_int_eq(r.status, 200);
    client_reply_free(&r);
    r = client_ask(http_port(second), "GET /api/v1 HTTP/1.1\r\nHost: other.example.\r\n\r\n");
    ck_assert_int_eq(r.status, 200);
    client_reply_free(&r);
    http_stop(second);
    o.hosts = "a b/c";
    ck_assert_int_eq(http_start(&second, the_store, NULL, &o, &e), ERR_RANGE);
}
END_TEST

static void *stop_main(void *server)
{
    http_stop(server);
    return NULL;
}

/* The rest of the request comes while the server is stopping. */
START_TEST(test_http_answers_what_is_under_way_when_it_stops)
{
    http_options o = options();
    error e = {0};
    http *second;
    pthread_t stopping;
    ck_assert_int_eq(http_start(&second, the_store, NULL, &o, &e), ERR_OK);
    int fd = client_connect(http_port(second));
    ck_assert(client_send_text(fd, "GET /api/v1 HTTP/1.1\r\n" H "\r\n"));
    client_reply r = client_read(fd, 5000, true);
    ck_assert_int_eq(r.status, 200);
    client_reply_free(&r);
    ck_assert(client_send_text(fd, "GET /api/v1 HTTP/1.1\r\n" H));
    usleep(50000); /* for the server to have read it */
    ck_assert_int_eq(pthread_create(&stopping, NULL, stop_main, second), 0);
    usleep(50000);
    client_send_text(fd, "\r\n");
    r = client_read(fd, 5000, true);
    ck_assert_int_eq(r.status, 200);
    client_reply_free(&r);
    close(fd);
    pthread_join(stopping, NULL);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("http");
    TCase *r = tcase_create("requests");
    tcase_add_checked_fixture(r, setup, teardown);
    tcase_set_timeout(r, 60);
    tcase_add_loop_test(r, test_http_refuses_bad_frames, 0,
                        sizeof bad_frames / sizeof bad_frames[0]);
    tcase_add_loop_test(r, test_http_closes_on_what_is_not_http, 0,
                        sizeof unframed / sizeof unframed[0]);
    tcase_add_loop_test(r, test_http_takes_good_frames, 0,
                        sizeof good_frames / sizeof good_frames[0]);
    tcase_add_loop_test(r, test_http_answers_faults_with_problems, 0,
                        sizeof requests / sizeof requests[0]);
    tcase_add_loop_test(r, test_http_puts_its_headers_on_everything, 0, 5);
    tcase_add_test(r, test_http_keeps_a_connection_for_the_next_request);
    tcase_add_test(r, test_http_grants_nothing_to_other_sites);
    tcase_add_test(r, test_http_head_is_get_without_body);
    tcase_add_test(r, test_http_caps_chunked_bodies);
    tcase_add_test(r, test_http_answers_413_before_the_body_when_asked_to);
    tcase_add_test(r, test_http_survives_many_ampersands_and_long_headers);
    tcase_add_test(r, test_http_survives_clients_that_leave);
    tcase_add_test(r, test_http_asks_for_the_token);
    tcase_add_test(r, test_http_refuses_unsafe_starts);
    tcase_add_test(r, test_http_answers_for_the_names_it_is_given);
    tcase_add_test(r, test_http_answers_what_is_under_way_when_it_stops);
    suite_add_tcase(s, r);
    TCase *d = tcase_create("deadlines");
    tcase_add_checked_fixture(d, setup_hasty, teardown);
    tcase_set_timeout(d, 60);
    tcase_add_loop_test(d, test_http_cuts_one_byte_clients, 0, 4);
    tcase_add_test(d, test_http_cuts_idle_connections);
    tcase_add_test(d, test_http_serves_others_when_the_table_is_full);
    suite_add_tcase(s, d);
    return s;
}

int main(void)
{
    return suite_run(suite());
}

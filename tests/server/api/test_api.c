/* The API over stored results: rows as JSON and CSV, selections, charts, tags, slow readers,
 * events. */
#include "server/api/openapi.h"
#include "server/catalogue/schema.h"
#include "server/http/http.h"
#include "server/job/reader.h"
#include "server/machine/embed.h"
#include "tests/server/http_client.h"
#include "tests/server/temp.h"
#include "tests/suite.h"

#include <check.h>
#include <cjson/cJSON.h>
#include <zlib.h>

#define H " HTTP/1.1\r\nHost: localhost\r\n"

static temp t;
static store *the_store;
static scheduler *the_scheduler;
static http *the_http;

static http_options options(void)
{
    return (http_options){
        .listen = "127.0.0.1:0", .limits = limits_default(), .demo_job = "{\"depth\":2}"};
}

static void setup(void)
{
    error e = {0};
    http_options o = options();
    temp_init(&t);
    ck_assert_msg(store_open(&the_store, t.db, &e) == ERR_OK, "%s", e.message);
    ck_assert_msg(http_start(&the_http, the_store, NULL, &o, &e) == ERR_OK, "%s", e.message);
}

/* With a scheduler whose worker never says a word: jobs stay as they are. */
static void setup_live(void)
{
    error e = {0};
    http_options o = options();
    scheduler_options so = {.worker_command = "/bin/sleep 1000", .workers = 1};
    o.streams = 3;
    temp_init(&t);
    ck_assert_msg(store_open(&the_store, t.db, &e) == ERR_OK, "%s", e.message);
    ck_assert_msg(scheduler_start(&the_scheduler, the_store, &so, &e) == ERR_OK, "%s", e.message);
    ck_assert_msg(http_start(&the_http, the_store, the_scheduler, &o, &e) == ERR_OK, "%s",
                  e.message);
}

static void teardown(void)
{
    http_stop(the_http);
    if (the_scheduler) scheduler_stop(the_scheduler);
    store_close(the_store);
    the_scheduler = NULL;
    temp_deinit(&t);
}

static client_reply ask(const char *method, const char *path, const char *headers)
{
    char text[1024];
    snprintf(text, sizeof text, "%s %s" H "%s\r\n", method, path, headers);
    return client_ask(http_port(the_http), text);
}

/* Undoes the chunks of a reply in place. */
static void dechunk(client_reply *r, size_t *n)
{
    char *in = r->text + (r->body - r->text), *out = in;
    char coding[32];
    if (!client_header(r, "Transfer-Encoding", coding, sizeof coding)) {
        *n = r->n - (size_t)(r->body - r->text);
        return;
    }
    for (;;) {
        char *end;
        size_t size = strtoul(in, &end, 16);
        if (size == 0) break;
        memmove(out, end + 2, size);
        out += size;
        in = end + 2 + size + 2;
    }
    *n = (size_t)(out - r->body);
    *out = '\0';
}

static cJSON *get_json(const char *path, int status)
{
    size_t n;
    client_reply r = ask("GET", path, "");
    ck_assert_msg(r.status == status, "%s -> %.600s", path, r.text);
    dechunk(&r, &n);
    cJSON *json = cJSON_ParseWithLength(r.body, n);
    ck_assert_msg(json != NULL, "%s is not JSON: %.200s", path, r.body);
    client_reply_free(&r);
    return json;
}

static char *get_text(const char *path, const char *headers)
{
    size_t n;
    client_reply r = ask("GET", path, headers);
    ck_assert_msg(r.status == 200, "%s -> %.600s", path, r.text);
    dechunk(&r, &n);
    char *text = strndup(r.body, n);
    client_reply_free(&r);
    return text;
}

/* A job of two arms with two seeds each, finished: layers rows of var and rms at resid_out and of
 * one parameter, at steps 0 and 3. var is 10 * run + layer, but NaN in layer 2 of the first run. */
static int64_t store_results(int layers)
{
    static const char text[] =
        "{\"depth\":2,\"seeds\":[5,6],\"sweep\":{\"strategy\":[\"pre_ln\",\"post_ln\"]}}";
    error e = {0};
    job j;
    int64_t id;
    bool existing, found;
    limits lim = limits_default();
    job_init(&j);
    ck_assert_msg(reader_job(text, sizeof text - 1, &lim, &j, &e) == ERR_OK, "%s", e.message);
    for (int i = 0; i < j.n_runs; i++)
        j.runs[i].spec.depth = layers, j.runs[i].cost.measurements = 1 << 20;
    ck_assert_msg(store_add_job(the_store, &j, text, &id, &existing, &e) == ERR_OK, "%s",
                  e.message);
    job_deinit(&j);
    measurement *m = calloc((size_t)layers * 10 + 8, sizeof *m);
    for (int run = 0; run < 4; run++) {
        claimed_run c;
        size_t n = 0;
        ck_assert_msg(store_claim_run(the_store, UINT64_MAX, &c, &found, &e) == ERR_OK && found,
                      "%s", e.message);
        for (int step = 0; step <= 3; step += 3) {
            for (int layer = 1; layer <= layers; layer++) {
                double var = run == 0 && layer == 2 ? NAN : 10 * run + layer;
                m[n++] = (measurement){.step = step,
                                       .layer = layer,
                                       .site = SITE_resid_out,
                                       .metric = METRIC_var,
                                       .value = var,
                                       .reason = reason_of(var)};
                m[n++] = (measurement){.step = step,
                                       .layer = layer,
                                       .site = SITE_resid_out,
                                       .metric = METRIC_rms,
                                       .value = run == 1 ? INFINITY : 0.1,
                                       .reason = run == 1 ? REASON_POS_INF : 0};
                for (int head = 1; head <= 2; head++)
                    m[n++] = (measurement){.step = step,
                                           .layer = layer,
                                           .site = SITE_attn_prob,
                                           .metric = METRIC_attn_entropy,
                                           .value = 10 * head + layer,
                                           .item = head,
                                           .item_kind = ITEM_head};
                m[n++] = (measurement){.step = step,
                                       .layer = layer,
                                       .site = SITE_param,
                                       .metric = METRIC_param_grad_norm,
                                       .param = "attn.q.weight",
                                       .value = 0.5};
            }
            m[n++] = (measurement){.step = step,
                                   .layer = -1,
                                   .site = SITE_run,
                                   .metric = METRIC_var_growth,
                                   .value = NAN,
                                   .reason = REASON_TOO_FEW};
        }
        step_record steps[2] = {{0, 5.5, 0.001, 2}, {1, NAN, 0, INFINITY}};
        run_result r = {.measurements = m,
                        .n_measurements = n,
                        .steps = steps,
                        .n_steps = 2,
                        .wall_ms = 1,
                        .provenance = "{\"build\":\"test\"}"};
        ck_assert_msg(store_finish_run(the_store, c.run_id, &r, &e) == ERR_OK, "%s", e.message);
        claimed_run_deinit(&c);
    }
    free(m);
    return id;
}

static const cJSON *row(const cJSON *table, int i)
{
    return cJSON_GetArrayItem(cJSON_GetObjectItem(table, "rows"), i);
}

static int n_rows(const cJSON *table)
{
    return cJSON_GetArraySize(cJSON_GetObjectItem(table, "rows"));
}

static int count_rows(const char *path)
{
    cJSON *table = get_json(path, 200);
    int n = n_rows(table);
    cJSON_Delete(table);
    return n;
}

START_TEST(test_api_series_selects_what_is_asked)
{
    store_results(3);
    ck_assert_int_eq(count_rows("/api/v1/jobs/1/series"), 4 * 2 * (3 * 5 + 1));
    ck_assert_int_eq(count_rows("/api/v1/runs/2/series"), 2 * (3 * 5 + 1));
    ck_assert_int_eq(count_rows("/api/v1/jobs/1/series?metric=var"), 4 * 2 * 3);
    ck_assert_int_eq(count_rows("/api/v1/jobs/1/series?metric=var,rms&step=3"), 4 * 2 * 3);
    ck_assert_int_eq(count_rows("/api/v1/jobs/1/series?layer=-1"), 4 * 2);
    ck_assert_int_eq(count_rows("/api/v1/jobs/1/series?layer=1,3&run=1,4&step=0&site=resid_out"),
                     2 * 2 * 2);
    ck_assert_int_eq(count_rows("/api/v1/jobs/1/series?param=attn.q.weight"), 4 * 2 * 3);
    ck_assert_int_eq(count_rows("/api/v1/jobs/1/series?param=attn.v.weight"), 0);
    ck_assert_int_eq(count_rows("/api/v1/jobs/1/series?site=logits"), 0);
    ck_assert_int_eq(count_rows("/api/v1/jobs/1/steps"), 4 * 2);
    ck_assert_int_eq(count_rows("/api/v1/runs/1/steps"), 2);
}
END_TEST

/* Two numbers at one place, told apart by their item; what has none answers to item 0. */
START_TEST(test_api_items_are_an_axis)
{
    store_results(3);
    ck_assert_int_eq(count_rows("/api/v1/runs/1/series?item=0"), 2 * (3 * 3 + 1));
    ck_assert_int_eq(count_rows("/api/v1/runs/1/series?item=1,2"), 2 * 3 * 2);
    cJSON *two = get_json("/api/v1/runs/1/series?item=2&layer=3&step=0", 200);
    ck_assert_int_eq(n_rows(two), 1);
    ck_assert_double_eq(cJSON_GetArrayItem(row(two, 0), 8)->valuedouble, 23);
    ck_assert_int_eq(cJSON_GetArrayItem(row(two, 0), 10)->valueint, 2);
    ck_assert_str_eq(cJSON_GetArrayItem(row(two, 0), 11)->valuestring, "head");
    cJSON_Delete(two);
    char *csv = get_text("/api/v1/runs/1/series?item=1&layer=1&step=0", "Accept: text/csv\r\n");
    ck_assert_ptr_nonnull(strstr(csv, ",0,1,attn_prob,attn_entropy,,11,,1,head\n"));
    free(csv);
    for (int item = 0; item <= 2; item++) {
        char path[96];
        snprintf(path, sizeof path, "/api/v1/jobs/1/chart?metric=attn_entropy&step=0&item=%d",
                 item);
        cJSON *chart = get_json(path, 200);
        const cJSON *points =
            cJSON_GetObjectItem(cJSON_GetObjectItem(chart, "arms")->child, "points");
        ck_assert_int_eq(cJSON_GetArraySize(points), item ? 3 : 0);
        if (item)
            ck_assert_double_eq(cJSON_GetObjectItem(points->child, "min")->valuedouble,
                                10 * item + 1);
        cJSON_Delete(chart);
    }
}
END_TEST

START_TEST(test_api_series_tells_what_is_not_finite)
{
    store_results(3);
    cJSON *nan = get_json("/api/v1/jobs/1/series?metric=var&layer=2&step=0&run=1", 200);
    ck_assert_str_eq(cJSON_GetArrayItem(row(nan, 0), 8)->valuestring, "NaN");
    ck_assert_str_eq(cJSON_GetArrayItem(row(nan, 0), 9)->valuestring, "NAN");
    cJSON_Delete(nan);
    cJSON *inf = get_json("/api/v1/runs/2/series?metric=rms&layer=2&step=0", 200);
    ck_assert_str_eq(cJSON_GetArrayItem(row(inf, 0), 8)->valuestring, "Infinity");
    cJSON_Delete(inf);
    cJSON *undefined = get_json("/api/v1/runs/2/series?metric=var_growth&step=0", 200);
    ck_assert(cJSON_IsNull(cJSON_GetArrayItem(row(undefined, 0), 8)));
    ck_assert_str_eq(cJSON_GetArrayItem(row(undefined, 0), 9)->valuestring, "TOO_FEW");
    cJSON_Delete(undefined);
    char *csv = get_text("/api/v1/runs/1/series?metric=var&step=0", "Accept: text/csv\r\n");
    ck_assert_str_eq(csv,
                     "run_id,seed,arm,step,layer,site,metric,param,value,reason,item,item_kind\n"
                     "1,5,\"{\"\"strategy\"\":\"\"pre_ln\"\"}\",0,1,resid_out,var,,1,,,\n"
                     "1,5,\"{\"\"strategy\"\":\"\"pre_ln\"\"}\",0,2,resid_out,var,,NaN,NAN,,\n"
                     "1,5,\"{\"\"strategy\"\":\"\"pre_ln\"\"}\",0,3,resid_out,var,,3,,,\n");
    free(csv);
    csv = get_text("/api/v1/runs/1/steps?format=csv", "");
    ck_assert_str_eq(csv, "run_id,seed,arm,step,loss,lr,grad_norm\n"
                          "1,5,\"{\"\"strategy\"\":\"\"pre_ln\"\"}\",0,5.5,0.001,2\n"
                          "1,5,\"{\"\"strategy\"\":\"\"pre_ln\"\"}\",1,NaN,0,Infinity\n");
    free(csv);
}
END_TEST

/* Thousands of rows: many pages, each continued where the last one ended. */
START_TEST(test_api_series_pages_without_loss_or_repeat)
{
    store_results(2000);
    cJSON *all = get_json("/api/v1/jobs/1/series?metric=var", 200);
    ck_assert_int_eq(n_rows(all), 4 * 2 * 2000);
    int last[3] = {0, -1, 0};
    for (const cJSON *r = cJSON_GetObjectItem(all, "rows")->child; r; r = r->next) {
        int key[3] = {cJSON_GetArrayItem(r, 0)->valueint, cJSON_GetArrayItem(r, 3)->valueint,
                      cJSON_GetArrayItem(r, 4)->valueint};
        bool after =
            key[0] > last[0] ||
            (key[0] == last[0] && (key[1] > last[1] || (key[1] == last[1] && key[2] > last[2])));
        ck_assert_msg(after, "run %d step %d layer %d comes late or twice", key[0], key[1], key[2]);
        memcpy(last, key, sizeof last);
    }
    cJSON_Delete(all);
}
END_TEST

static char *gunzip(const char *bytes, size_t n, size_t *out_n)
{
    size_t cap = 32 << 20;
    char *out = malloc(cap);
    z_stream z = {.next_in = (Bytef *)(uintptr_t)bytes,
                  .avail_in = (uInt)n,
                  .next_out = (Bytef *)out,
                  .avail_out = (uInt)cap};
    ck_assert_int_eq(inflateInit2(&z, 15 + 16), Z_OK);
    ck_assert_int_eq(inflate(&z, Z_FINISH), Z_STREAM_END);
    *out_n = cap - z.avail_out;
    inflateEnd(&z);
    return out;
}

START_TEST(test_api_compresses_without_changing_a_byte)
{
    static const char *const paths[] = {"/api/v1/jobs/1/series", "/api/v1/registries",
                                        "/static/vendor/d3.min.js",
                                        "/api/v1/jobs/1/series?format=csv"};
    char coding[32];
    size_t plain_n, n, out_n;
    store_results(300);
    client_reply plain = ask("GET", paths[_i], "");
    client_reply gz = ask("GET", paths[_i], "Accept-Encoding: br, gzip;q=0.5\r\n");
    ck_assert(client_header(&gz, "Content-Encoding", coding, sizeof coding));
    ck_assert_str_eq(coding, "gzip");
    ck_assert(!client_header(&plain, "Content-Encoding", coding, sizeof coding));
    dechunk(&plain, &plain_n);
    dechunk(&gz, &n);
    char *out = gunzip(gz.body, n, &out_n);
    ck_assert_uint_eq(out_n, plain_n);
    ck_assert_int_eq(memcmp(out, plain.body, out_n), 0);
    ck_assert_uint_lt(n, plain_n / 2);
    free(out);
    client_reply_free(&plain);
    client_reply_free(&gz);
    gz = ask("GET", paths[_i], "Accept-Encoding: gzip;q=0, identity\r\n");
    ck_assert(!client_header(&gz, "Content-Encoding", coding, sizeof coding));
    client_reply_free(&gz);
}
END_TEST

START_TEST(test_api_says_304_to_who_has_it)
{
    static const char *const paths[] = {"/api/v1/jobs/1/series?metric=var", "/api/v1/jobs/1/chart",
                                        "/api/v1/registries", "/", "/api/v1/schema/run"};
    char tag[80], header[120];
    store_results(3);
    client_reply r = ask("GET", paths[_i], "");
    ck_assert_msg(client_header(&r, "ETag", tag, sizeof tag), "%s has no ETag", paths[_i]);
    client_reply_free(&r);
    snprintf(header, sizeof header, "If-None-Match: \"x\", %s\r\n", tag);
    r = ask("GET", paths[_i], header);
    ck_assert_msg(r.status == 304, "%s", r.text);
    ck_assert_str_eq(r.body, "");
    client_reply_free(&r);
    r = ask("GET", paths[_i], "If-None-Match: W/\"0123\"\r\n");
    ck_assert_int_eq(r.status, 200);
    client_reply_free(&r);
}
END_TEST

START_TEST(test_api_chart_aggregates_the_seeds_of_an_arm)
{
    store_results(3);
    cJSON *chart = get_json("/api/v1/jobs/1/chart?metric=var&step=0", 200);
    const cJSON *arms = cJSON_GetObjectItem(chart, "arms");
    ck_assert_int_eq(cJSON_GetArraySize(arms), 2);
    const cJSON *second = cJSON_GetArrayItem(arms, 1);
    ck_assert_str_eq(cJSON_GetObjectItem(second, "label")->valuestring, "post_ln at 3 blocks");
    ck_assert_int_eq(cJSON_GetObjectItem(second, "seeds")->valueint, 2);
    const cJSON *p = cJSON_GetArrayItem(cJSON_GetObjectItem(second, "points"), 0);
    ck_assert_double_eq(cJSON_GetObjectItem(p, "min")->valuedouble, 21);
    ck_assert_double_eq(cJSON_GetObjectItem(p, "max")->valuedouble, 31);
    ck_assert_double_eq_tol(cJSON_GetObjectItem(p, "mean")->valuedouble, sqrt(21.0 * 31.0), 1e-12);
    p = cJSON_GetArrayItem(cJSON_GetObjectItem(cJSON_GetArrayItem(arms, 0), "points"), 1);
    ck_assert_int_eq(cJSON_GetObjectItem(p, "n")->valueint, 1);
    ck_assert_int_eq(cJSON_GetObjectItem(p, "nonfinite")->valueint, 1);
    ck_assert_double_eq(cJSON_GetObjectItem(p, "mean")->valuedouble, 12);
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(chart, "steps")), 2);
    cJSON_Delete(chart);
    chart = get_json("/api/v1/jobs/1/chart?metric=param_grad_norm", 200);
    ck_assert_str_eq(cJSON_GetObjectItem(chart, "site")->valuestring, "param");
    ck_assert_str_eq(cJSON_GetObjectItem(chart, "param")->valuestring, "attn.q.weight");
    ck_assert_int_eq(cJSON_GetObjectItem(chart, "step")->valueint, 3);
    cJSON_Delete(chart);
    cJSON_Delete(get_json("/api/v1/jobs/1/chart?metric=var,rms", 400));
    cJSON_Delete(get_json("/api/v1/jobs/1/chart?metric=var&param=attn.q.weight", 400));
    chart = get_json("/api/v1/jobs/1/chart?metric=loss", 200);
    cJSON_Delete(chart);
}
END_TEST

START_TEST(test_api_lists_jobs_page_by_page)
{
    store_results(2);
    cJSON *page = get_json("/api/v1/jobs?limit=1&state=done", 200);
    ck_assert(cJSON_IsNull(cJSON_GetObjectItem(page, "next")));
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(page, "jobs")), 1);
    cJSON_Delete(page);
    page = get_json("/api/v1/jobs?state=failed", 200);
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(page, "jobs")), 0);
    cJSON_Delete(page);
    cJSON *runs = get_json("/api/v1/jobs/1/runs", 200);
    ck_assert_int_eq(cJSON_GetArraySize(cJSON_GetObjectItem(runs, "runs")), 4);
    cJSON_Delete(runs);
    client_reply r = ask("DELETE", "/api/v1/jobs/1", "");
    ck_assert_int_eq(r.status, 204);
    client_reply_free(&r);
    cJSON_Delete(get_json("/api/v1/jobs/1", 404));
    cJSON_Delete(get_json("/api/v1/runs/1", 404));
}
END_TEST

START_TEST(test_api_describes_itself_in_json)
{
    cJSON *page = get_json("/api/v1/openapi.json", 200);
    ck_assert_ptr_nonnull(
        cJSON_GetObjectItem(cJSON_GetObjectItem(page, "paths"), "/api/v1/jobs/{id}/series"));
    cJSON_Delete(page);
    cJSON *list = get_json("/api/v1/schema", 200);
    int n = 0;
    for (const cJSON *s = cJSON_GetObjectItem(list, "schemas")->child; s; s = s->next, n++)
        cJSON_Delete(get_json(cJSON_GetObjectItem(s, "href")->valuestring, 200));
    ck_assert_int_gt(n, 15);
    cJSON_Delete(list);
}
END_TEST

/* What `make schema` wrote, against the tables as they are. */
START_TEST(test_api_schema_files_are_current)
{
    static const char *const paths[] = {"schema/job.json", "schema/openapi.json"};
    char *now = _i ? openapi_text() : schema_job();
    const embed *file = embed_find(paths[_i]);
    ck_assert_ptr_nonnull(now);
    ck_assert_msg(file != NULL, "%s is missing: make schema", paths[_i]);
    cJSON *a = cJSON_Parse(now), *b = cJSON_ParseWithLength((const char *)file->bytes, file->size);
    char *x = cJSON_PrintUnformatted(a), *y = cJSON_PrintUnformatted(b);
    ck_assert_msg(x && y && strcmp(x, y) == 0, "%s is not what the tables say: make schema",
                  paths[_i]);
    free(x);
    free(y);
    cJSON_Delete(a);
    cJSON_Delete(b);
    free(now);
}
END_TEST

START_TEST(test_api_keeps_texts)
{
    client_reply r = client_ask(http_port(the_http),
                                "PUT /api/v1/corpora/a.b-c" H "Content-Length: 5\r\n\r\nhello");
    ck_assert_msg(r.status == 201, "%s", r.text);
    ck_assert_ptr_nonnull(
        strstr(r.body,
               "2cf24dba5fb0a30e26e83b2ac5b9e29e1b161e5c1fa7425e73043362938b9824")); /* sha256sum */
    client_reply_free(&r);
    r = client_ask(http_port(the_http),
                   "PUT /api/v1/corpora/a.b-c" H
                   "Transfer-Encoding: chunked\r\n\r\n3\r\nhel\r\n2\r\nlo\r\n0\r\n\r\n");
    ck_assert_msg(r.status == 200, "%s", r.text);
    client_reply_free(&r);
    cJSON *one = get_json("/api/v1/corpora/a.b-c", 200);
    ck_assert_int_eq(cJSON_GetObjectItem(one, "bytes")->valueint, 5);
    cJSON_Delete(one);
    r = ask("DELETE", "/api/v1/corpora/a.b-c", "");
    ck_assert_int_eq(r.status, 204);
    client_reply_free(&r);
    cJSON_Delete(get_json("/api/v1/corpora/a.b-c", 404));
}
END_TEST

/* More clients that do not read than the store has readers: nobody else notices. */
START_TEST(test_api_slow_readers_hold_nothing)
{
    enum { STALLED = 3 * STORE_READERS };
    int fd[STALLED], small = 4096;
    store_results(1000);
    for (int i = 0; i < STALLED; i++) {
        fd[i] = socket(AF_INET, SOCK_STREAM, 0);
        setsockopt(fd[i], SOL_SOCKET, SO_RCVBUF, &small, sizeof small);
        struct sockaddr_in a = {.sin_family = AF_INET,
                                .sin_port = htons((uint16_t)http_port(the_http))};
        a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        ck_assert_int_eq(connect(fd[i], (struct sockaddr *)&a, sizeof a), 0);
        ck_assert(client_send_text(fd[i], "GET /api/v1/jobs/1/series" H "\r\n"));
    }
    usleep(300000);
    /* Without a free reader this is 503: store_reader gives up long before a stalled client is cut.
     */
    ck_assert_int_eq(count_rows("/api/v1/runs/1/steps"), 2);
    for (int i = 0; i < STALLED; i++) close(fd[i]);
}
END_TEST

/* --- with a scheduler --- */

static client_reply post(const char *path, const char *body)
{
    char text[2048];
    snprintf(text, sizeof text,
             "POST %s" H "Content-Type: application/json\r\nContent-Length: %zu\r\n\r\n%s", path,
             strlen(body), body);
    return client_ask(http_port(the_http), text);
}

START_TEST(test_api_takes_a_job_once)
{
    char location[80] = "";
    client_reply r = post("/api/v1/jobs", "{\"depth\":2}");
    ck_assert_msg(r.status == 202, "%s", r.text);
    ck_assert(client_header(&r, "Location", location, sizeof location));
    ck_assert_str_eq(location, "/api/v1/jobs/1");
    ck_assert_ptr_nonnull(strstr(r.body, "\"existing\":false"));
    client_reply_free(&r);
    r = post("/api/v1/jobs", "{\"name\":\"=again\", \"depth\": 2}");
    ck_assert_int_eq(r.status, 200);
    ck_assert_ptr_nonnull(strstr(r.body, "\"existing\":true"));
    client_reply_free(&r);
    r = post("/api/v1/demo", "{ }");
    ck_assert_int_eq(r.status, 200);
    client_reply_free(&r);
    r = post("/api/v1/jobs", "{\"data\":{\"source\":\"text\",\"corpus\":\"nowhere\"}}");
    ck_assert_msg(r.status == 404 && strstr(r.body, "\"pointer\":\"/data/corpus\""), "%s", r.text);
    client_reply_free(&r);
    r = ask("POST", "/api/v1/jobs/1/cancel", "Content-Length: 0\r\n");
    ck_assert_msg(r.status == 200 && strstr(r.body, "\"state\":\"cancelled\""), "%s", r.text);
    client_reply_free(&r);
}
END_TEST

START_TEST(test_api_events_come_and_end)
{
    client_reply r = post("/api/v1/jobs", "{\"depth\":2}");
    client_reply_free(&r);
    int fd[4];
    for (int i = 0; i < 3; i++) {
        fd[i] = client_connect(http_port(the_http));
        ck_assert(client_send_text(fd[i], "GET /api/v1/jobs/1/events" H "\r\n"));
        r = client_read(fd[i], 700, false);
        ck_assert_msg(strstr(r.text, "event: progress\ndata: {\"id\":1,"), "%s", r.text);
        ck_assert_ptr_nonnull(strstr(r.text, "text/event-stream"));
        client_reply_free(&r);
    }
    r = ask("GET", "/api/v1/jobs/1/events", ""); /* one too many */
    ck_assert_msg(r.status == 503, "%s", r.text);
    char retry[16];
    ck_assert(client_header(&r, "Retry-After", retry, sizeof retry));
    client_reply_free(&r);
    close(fd[0]); /* its place is free again within two turns */
    usleep(1500000);
    fd[3] = client_connect(http_port(the_http));
    ck_assert(client_send_text(fd[3], "GET /api/v1/jobs/1/events" H "\r\n"));
    r = client_read(fd[3], 700, false);
    ck_assert_int_eq(r.status, 200);
    client_reply_free(&r);
    r = ask("POST", "/api/v1/jobs/1/cancel", "Content-Length: 0\r\n");
    client_reply_free(&r);
    r = client_read(fd[1], 3000, true);
    ck_assert_msg(strstr(r.text, "event: end\n") && strstr(r.text, "\"state\":\"cancelled\""), "%s",
                  r.text);
    client_reply_free(&r);
    for (int i = 1; i < 4; i++) close(fd[i]);
}
END_TEST

/* A job the scheduler has to look up in the store: nobody may hold a reader while it does. */
START_TEST(test_api_lists_do_not_wait_for_each_other)
{
    enum { CLIENTS = 3 * STORE_READERS, ROUNDS = 10 };
    int fd[CLIENTS];
    error e = {0};
    job j;
    int64_t id;
    bool existing;
    temp_job(&j, "aa", 4, 100);
    ck_assert_int_eq(store_add_job(the_store, &j, "{}", &id, &existing, &e), ERR_OK);
    temp_job_free(&j);
    for (int i = 0; i < CLIENTS; i++) fd[i] = client_connect(http_port(the_http));
    for (int round = 0; round < ROUNDS; round++) {
        for (int i = 0; i < CLIENTS; i++)
            ck_assert(client_send_text(fd[i], "GET /api/v1/jobs" H "\r\n"));
        for (int i = 0; i < CLIENTS; i++) {
            client_reply r = client_read(fd[i], 3000, true);
            ck_assert_msg(r.status == 200, "%d: %s", i, r.text);
            client_reply_free(&r);
        }
    }
    for (int i = 0; i < CLIENTS; i++) close(fd[i]);
}
END_TEST

START_TEST(test_api_stops_soon_with_streams_open)
{
    client_reply r = post("/api/v1/jobs", "{\"depth\":2}");
    client_reply_free(&r);
    int fd = client_connect(http_port(the_http));
    ck_assert(client_send_text(fd, "GET /api/v1/jobs/1/events" H "\r\n"));
    r = client_read(fd, 500, false);
    client_reply_free(&r);
    long from = client_now_ms();
    http_stop(the_http);
    the_http = NULL;
    ck_assert_int_le(client_now_ms() - from, 1500);
    close(fd);
}
END_TEST

static Suite *suite(void)
{
    Suite *s = suite_create("api");
    TCase *c = tcase_create("stored");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 60);
    tcase_add_test(c, test_api_series_selects_what_is_asked);
    tcase_add_test(c, test_api_items_are_an_axis);
    tcase_add_test(c, test_api_series_tells_what_is_not_finite);
    tcase_add_test(c, test_api_series_pages_without_loss_or_repeat);
    tcase_add_loop_test(c, test_api_compresses_without_changing_a_byte, 0, 4);
    tcase_add_loop_test(c, test_api_says_304_to_who_has_it, 0, 5);
    tcase_add_test(c, test_api_chart_aggregates_the_seeds_of_an_arm);
    tcase_add_test(c, test_api_lists_jobs_page_by_page);
    tcase_add_test(c, test_api_describes_itself_in_json);
    tcase_add_loop_test(c, test_api_schema_files_are_current, 0, 2);
    tcase_add_test(c, test_api_keeps_texts);
    tcase_add_test(c, test_api_slow_readers_hold_nothing);
    suite_add_tcase(s, c);
    TCase *l = tcase_create("live");
    tcase_add_checked_fixture(l, setup_live, teardown);
    tcase_set_timeout(l, 60);
    tcase_add_test(l, test_api_takes_a_job_once);
    tcase_add_test(l, test_api_events_come_and_end);
    tcase_add_test(l, test_api_lists_do_not_wait_for_each_other);
    tcase_add_test(l, test_api_stops_soon_with_streams_open);
    suite_add_tcase(s, l);
    return s;
}

int main(void)
{
    return suite_run(suite());
}

/* Frames: whatever shape the bytes come in, they are read right or refused, never by trust. */
#include "server/queue/frame.h"
#include "server/queue/intake.h"
#include "tests/suite.h"

#include <check.h>
#include <fcntl.h>
#include <math.h>
#include <pthread.h>
#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static int ends[2];
static frame_reader reader;
static error err;

static void setup(void)
{
    ck_assert_int_eq(pipe2(ends, O_CLOEXEC), 0);
    fcntl(ends[0], F_SETFL, O_NONBLOCK);
    frame_reader_init(&reader, &frame_from_worker);
    err = (error){0};
}

static void teardown(void)
{
    frame_reader_deinit(&reader);
    close(ends[0]);
    if (ends[1] >= 0) close(ends[1]);
}

static void put(const void *bytes, size_t n)
{
    ck_assert_int_eq(write(ends[1], bytes, n), (ssize_t)n);
}

static void close_writer(void)
{
    close(ends[1]);
    ends[1] = -1;
}

static size_t make(unsigned char *out, frame_type type, const void *payload, size_t n)
{
    frame_header(out, type, n);
    if (n) memcpy(out + FRAME_HEADER, payload, n);
    return FRAME_HEADER + n;
}

START_TEST(test_frame_is_read_whatever_pieces_it_comes_in)
{
    unsigned char bytes[64];
    size_t n = make(bytes, FRAME_PARAMS, "\x05hello", 6);
    for (size_t cut = 1; cut < n; cut++) {
        put(bytes, cut);
        ck_assert_int_eq(frame_read(&reader, ends[0], &err), FRAME_AGAIN);
        put(bytes + cut, n - cut);
        ck_assert_int_eq(frame_read(&reader, ends[0], &err), FRAME_READY);
        ck_assert_int_eq(reader.type, FRAME_PARAMS);
        ck_assert_uint_eq(reader.payload.n, 6);
        ck_assert_mem_eq(reader.payload.bytes, "\x05hello", 6);
    }
    ck_assert_int_eq(frame_read(&reader, ends[0], &err), FRAME_AGAIN);
    close_writer();
    ck_assert_int_eq(frame_read(&reader, ends[0], &err), FRAME_EOF);
}
END_TEST

START_TEST(test_two_frames_in_one_read_are_two_frames)
{
    unsigned char bytes[64];
    size_t n = make(bytes, FRAME_PONG, NULL, 0);
    n += make(bytes + n, FRAME_PARAMS, "ab", 2);
    put(bytes, n);
    ck_assert_int_eq(frame_read(&reader, ends[0], &err), FRAME_READY);
    ck_assert_int_eq(reader.type, FRAME_PONG);
    ck_assert_uint_eq(reader.payload.n, 0);
    ck_assert_int_eq(frame_read(&reader, ends[0], &err), FRAME_READY);
    ck_assert_int_eq(reader.type, FRAME_PARAMS);
    ck_assert_uint_eq(reader.payload.n, 2);
}
END_TEST

static const uint32_t bad_headers[][3] = {
    {0x12345678, FRAME_PONG, 0},              /* magic */
    {FRAME_MAGIC, 0, 0},                      /* no such type */
    {FRAME_MAGIC, FRAME_TYPES, 0},            /* none either */
    {FRAME_MAGIC, 0xffffffff, 0},             /* nor that */
    {FRAME_MAGIC, FRAME_RUN, 4},              /* the other direction */
    {FRAME_MAGIC, FRAME_PONG, 1},             /* too large for its type */
    {FRAME_MAGIC, FRAME_MEASURE, 0x40000000}, /* 1 GiB */
    {FRAME_MAGIC, FRAME_DONE, 0xffffffff},
};

START_TEST(test_bad_header_is_refused_without_allocating)
{
    unsigned char bytes[FRAME_HEADER];
    for (int i = 0; i < FRAME_HEADER; i++)
        bytes[i] = (unsigned char)(bad_headers[_i][i / 4] >> (8 * (i % 4)));
    put(bytes, sizeof bytes);
    ck_assert_int_eq(frame_read(&reader, ends[0], &err), FRAME_BROKEN);
    ck_assert_int_eq(err.code, ERR_WORKER);
    ck_assert_uint_eq(reader.payload.cap, 0);
}
END_TEST

START_TEST(test_memory_follows_the_bytes_not_the_claim)
{
    unsigned char bytes[FRAME_HEADER];
    frame_header(bytes, FRAME_MEASURE, 4 << 20);
    put(bytes, sizeof bytes);
    put("x", 1);
    ck_assert_int_eq(frame_read(&reader, ends[0], &err), FRAME_AGAIN);
    ck_assert_uint_lt(reader.payload.cap, 1 << 18);
}
END_TEST

START_TEST(test_half_a_frame_is_broken_and_marked_as_ended)
{
    unsigned char bytes[64];
    size_t n = make(bytes, FRAME_PARAMS, "\x05hello", 6);
    put(bytes, (size_t)_i + 1 < n ? (size_t)_i + 1 : n - 1);
    close_writer();
    ck_assert_int_eq(frame_read(&reader, ends[0], &err), FRAME_BROKEN);
    ck_assert_int_eq(err.code, ERR_WORKER);
    ck_assert(reader.eof);
}
END_TEST

START_TEST(test_random_bytes_never_become_a_frame)
{
    unsigned char bytes[256];
    uint32_t x = 2463534242u + (uint32_t)_i;
    for (size_t i = 0; i < sizeof bytes; i++) {
        x ^= x << 13, x ^= x >> 17, x ^= x << 5;
        bytes[i] = (unsigned char)x;
    }
    put(bytes, sizeof bytes);
    ck_assert_int_eq(frame_read(&reader, ends[0], &err), FRAME_BROKEN);
}
END_TEST

static void *write_large(void *arg)
{
    unsigned char *payload = malloc(4 << 20);
    for (size_t i = 0; i < 4 << 20; i++) payload[i] = (unsigned char)(i * 7 >> 3);
    *(err_code *)arg = frame_write(ends[1], FRAME_MEASURE, payload, 4 << 20, NULL);
    free(payload);
    return NULL;
}

START_TEST(test_short_writes_are_continued)
{
    pthread_t t;
    err_code code = ERR_INTERNAL;
    fcntl(ends[1], F_SETFL, O_NONBLOCK); /* the pipe takes 64 KiB at a time */
    pthread_create(&t, NULL, write_large, &code);
    frame_status st;
    while ((st = frame_read(&reader, ends[0], &err)) == FRAME_AGAIN) usleep(100);
    pthread_join(t, NULL);
    ck_assert_int_eq(st, FRAME_READY);
    ck_assert_int_eq(code, ERR_OK);
    ck_assert_uint_eq(reader.payload.n, 4 << 20);
    for (size_t i = 0; i < 4 << 20; i++)
        if (reader.payload.bytes[i] != (unsigned char)(i * 7 >> 3)) ck_abort_msg("byte %zu", i);
}
END_TEST

START_TEST(test_write_to_a_closed_pipe_is_an_error)
{
    signal(SIGPIPE, SIG_IGN);
    close(ends[0]);
    ck_assert_int_eq(frame_write(ends[1], FRAME_PONG, NULL, 0, &err), ERR_IO);
    ends[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
}
END_TEST

/* -- payloads -- */

START_TEST(test_measurement_survives_the_trip)
{
    const double values[] = {0, -1.5, INFINITY, -INFINITY, NAN, 5e-324, 1e308};
    for (size_t i = 0; i < sizeof values / sizeof *values; i++) {
        frame_buffer b = {0};
        measurement m = {7,
                         -1,
                         SITE_run,
                         METRIC_var,
                         NULL,
                         values[i],
                         reason_of(values[i]),
                         (int)i,
                         i ? ITEM_head : ITEM_NONE},
                    got;
        uint16_t param;
        frame_put_measurement(&b, &m, 3);
        ck_assert_uint_eq(b.n, FRAME_RECORD);
        ck_assert_int_eq(frame_get_measurement(&got, &param, b.bytes, 3, &err), ERR_OK);
        ck_assert_int_eq(got.step, 7);
        ck_assert_int_eq(got.layer, -1);
        ck_assert_int_eq(got.site, SITE_run);
        ck_assert_int_eq(got.metric, METRIC_var);
        ck_assert_int_eq(got.reason, m.reason);
        ck_assert_uint_eq(param, 3);
        ck_assert_int_eq(got.item, (int)i);
        ck_assert_int_eq(got.item_kind, m.item_kind);
        ck_assert_mem_eq(&got.value, &m.value, sizeof m.value);
        frame_buffer_deinit(&b);
    }
}
END_TEST

START_TEST(test_names_beyond_the_registries_are_refused)
{
    /* high bytes of site, metric, param; reason, kind of item; an item of no kind */
    const int at[] = {9, 11, 13, 14, 15, 24};
    frame_buffer b = {0};
    measurement m = {0, 1, SITE_embed, METRIC_var, NULL, 1, REASON_NONE, 0, ITEM_NONE}, got;
    uint16_t param;
    frame_put_measurement(&b, &m, 0);
    b.bytes[at[_i]] = 0xff;
    ck_assert_int_eq(frame_get_measurement(&got, &param, b.bytes, 3, &err), ERR_WORKER);
    frame_buffer_deinit(&b);
}
END_TEST

START_TEST(test_error_and_end_survive_the_trip)
{
    frame_buffer b = {0};
    error e = {0}, got;
    error_set(&e, ERR_MEMORY, "/model/d_model", "needs %d bytes\nand more", 12);
    frame_put_error(&b, &e);
    ck_assert_int_eq(frame_get_error(&got, &b, &err), ERR_OK);
    ck_assert_int_eq(got.code, ERR_MEMORY);
    ck_assert_str_eq(got.pointer, "/model/d_model");
    ck_assert_str_eq(got.message, "needs 12 bytes and more"); /* one line */

    char provenance[FRAME_TEXT_MAX + 1];
    double wall;
    run_summary s = {.diverged = true,
                     .diverged_backward = true,
                     .diverged_step = 7,
                     .diverged_layer = 19,
                     .diverged_site = SITE_mlp_branch,
                     .steps_done = 6},
                back;
    frame_buffer_reset(&b);
    frame_put_done(&b, &s, 12.5, "{\"build\":\"x\"}");
    ck_assert_int_eq(frame_get_done(&back, &wall, provenance, &b, &err), ERR_OK);
    ck_assert(back.diverged && back.diverged_step == 7 && back.diverged_layer == 19 &&
              back.diverged_site == SITE_mlp_branch && back.steps_done == 6 &&
              back.diverged_backward);
    ck_assert_double_eq(wall, 12.5);
    ck_assert_str_eq(provenance, "{\"build\":\"x\"}");
    b.n = 31;
    ck_assert_int_eq(frame_get_done(&back, &wall, provenance, &b, &err), ERR_WORKER);
    frame_buffer_deinit(&b);
}
END_TEST

START_TEST(test_intake_refuses_more_than_the_run_can_have)
{
    intake in;
    frame_buffer b = {0};
    measurement m = {0, 1, SITE_embed, METRIC_var, NULL, 1, REASON_NONE, 0, ITEM_NONE};
    step_record s = {0, 1, 1, 1};
    intake_begin(&in, 3, 1);
    for (int i = 0; i < 3; i++) frame_put_measurement(&b, &m, 0);
    ck_assert_int_eq(intake_rows(&in, &b, &err), ERR_OK);
    b.n = FRAME_RECORD;
    ck_assert_int_eq(intake_rows(&in, &b, &err), ERR_WORKER);
    b.n = FRAME_RECORD - 1;
    ck_assert_int_eq(intake_rows(&in, &b, &err), ERR_WORKER);
    frame_buffer_reset(&b);
    for (int i = 0; i < 3; i++) frame_put_step(&b, &s);
    ck_assert_int_eq(intake_steps(&in, &b, &err), ERR_WORKER);
    b.n = 2 * FRAME_STEP_RECORD; /* before and after the one update */
    ck_assert_int_eq(intake_steps(&in, &b, &err), ERR_OK);
    intake_free(&in);
    frame_buffer_deinit(&b);
}
END_TEST

static const struct {
    const char *bytes;
    size_t n;
    err_code code;
} names[] = {
    {"\x0d"
     "attn.q.weight",
     14, ERR_OK},
    {"\x01"
     "a"
     "\x01"
     "b",
     4, ERR_OK},
    {"\x02"
     "a",
     2, ERR_WORKER},         /* longer than the frame */
    {"\x00", 1, ERR_WORKER}, /* empty */
    {"\x03"
     "a\nb",
     4, ERR_WORKER}, /* not a name */
    {"\x03"
     "a\0b",
     4, ERR_WORKER},
    {"\xff", 1, ERR_WORKER},
};

START_TEST(test_parameter_names_are_checked)
{
    intake in;
    intake_begin(&in, 10, 0);
    frame_buffer b = {0};
    frame_put_bytes(&b, names[_i].bytes, names[_i].n);
    ck_assert_int_eq(intake_params(&in, &b, &err), names[_i].code);
    intake_free(&in);
    frame_buffer_deinit(&b);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("frame");
    TCase *c = tcase_create("stream");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 20);
    tcase_add_test(c, test_frame_is_read_whatever_pieces_it_comes_in);
    tcase_add_test(c, test_two_frames_in_one_read_are_two_frames);
    tcase_add_loop_test(c, test_bad_header_is_refused_without_allocating, 0,
                        sizeof bad_headers / sizeof *bad_headers);
    tcase_add_test(c, test_memory_follows_the_bytes_not_the_claim);
    tcase_add_loop_test(c, test_half_a_frame_is_broken_and_marked_as_ended, 0, 17);
    tcase_add_loop_test(c, test_random_bytes_never_become_a_frame, 0, 50);
    tcase_add_test(c, test_short_writes_are_continued);
    tcase_add_test(c, test_write_to_a_closed_pipe_is_an_error);
    suite_add_tcase(s, c);
    c = tcase_create("payload");
    tcase_set_timeout(c, 20);
    tcase_add_test(c, test_measurement_survives_the_trip);
    tcase_add_loop_test(c, test_names_beyond_the_registries_are_refused, 0, 6);
    tcase_add_test(c, test_error_and_end_survive_the_trip);
    tcase_add_test(c, test_intake_refuses_more_than_the_run_can_have);
    tcase_add_loop_test(c, test_parameter_names_are_checked, 0, sizeof names / sizeof *names);
    suite_add_tcase(s, c);
    return suite_run(s);
}

/* Safetensors: what is written is read back, and no header is trusted. */
#include "server/command/safetensors.h"
#include "tests/suite.h"

#include <check.h>
#include <endian.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

static char folder[64], path[128];
static error err;
static safetensors file;

static void setup(void)
{
    strcpy(folder, "/tmp/test_safetensors.XXXXXX");
    ck_assert_ptr_nonnull(mkdtemp(folder));
    snprintf(path, sizeof path, "%s/a.safetensors", folder);
    err = (error){0};
}

static void teardown(void)
{
    unlink(path);
    ck_assert_int_eq(rmdir(folder), 0); /* nothing else was left behind */
}

static void write_file(const char *header, size_t claimed, const void *data, size_t n)
{
    uint64_t size = htole64(claimed);
    FILE *to = fopen(path, "wb");
    ck_assert_ptr_nonnull(to);
    fwrite(&size, 8, 1, to);
    fwrite(header, 1, strlen(header), to);
    if (n) fwrite(data, 1, n, to);
    fclose(to);
}

/* --- round trip ------------------------------------------------------------------------------- */

static float f32[6] = {1, 2, 3, 4, 5, -6.5f};
static double f64[2] = {0.1, 1e300};
static int i32[3] = {-1, 0, 7};
static unsigned char u8[5] = {1, 0, 1, 1, 0};

static const tensor_view views[] = {
    {"blocks.0.attn.q.weight", TENSOR_F32, 2, {2, 3}, f32},
    {"b", TENSOR_F64, 1, {2}, f64},
    {"data.tokens", TENSOR_I32, 3, {1, 1, 3}, i32},
    {"data.loss_mask", TENSOR_U8, 1, {5}, u8},
    {"empty", TENSOR_F32, 2, {0, 3}, NULL},
    {"scalar", TENSOR_F32, 0, {0}, f32},
};
enum { N_VIEWS = sizeof views / sizeof *views };

static void write_views(void)
{
    safetensors_writer w;
    ck_assert_int_eq(safetensors_writer_open(&w, path, &err), ERR_OK);
    for (int i = 0; i < N_VIEWS; i++)
        ck_assert_int_eq(safetensors_add(&w, "", &views[i], &err), ERR_OK);
    ck_assert_int_ne(access(path, F_OK), 0); /* nothing there before commit */
    ck_assert_msg(safetensors_commit(&w, "{\"depth\":1}", &err) == ERR_OK, "%s", err.message);
}

START_TEST(test_what_is_written_is_read_back)
{
    static const size_t widths[] = {4, 8, 4, 1};
    write_views();
    ck_assert_msg(safetensors_open(&file, path, &err) == ERR_OK, "%s %s", err.pointer, err.message);
    ck_assert_uint_eq(file.n, N_VIEWS);
    for (int i = 0; i < N_VIEWS; i++) {
        const safetensors_entry *e = safetensors_find(&file, views[i].name);
        unsigned char back[64];
        tensor_view to = views[i];
        size_t n = widths[views[i].type];
        for (int k = 0; k < to.rank; k++) n *= to.dims[k];
        to.data = back;
        ck_assert_ptr_nonnull(e);
        ck_assert_int_eq(safetensors_read(&file, e, &to, &err), ERR_OK);
        if (n) ck_assert_mem_eq(back, views[i].data, n);
    }
    ck_assert_ptr_null(safetensors_find(&file, "c"));
    safetensors_close(&file);
}
END_TEST

START_TEST(test_tensors_begin_at_a_multiple_of_8)
{
    uint64_t n;
    write_views();
    FILE *from = fopen(path, "rb");
    ck_assert_uint_eq(fread(&n, 8, 1, from), 1);
    fclose(from);
    ck_assert_uint_eq(le64toh(n) % 8, 0);
}
END_TEST

START_TEST(test_floats_are_converted)
{
    double wide[6];
    float narrow[2];
    write_views();
    ck_assert_int_eq(safetensors_open(&file, path, &err), ERR_OK);
    tensor_view to = {"x", TENSOR_F64, 2, {2, 3}, wide};
    ck_assert_int_eq(safetensors_read(&file, safetensors_find(&file, views[0].name), &to, &err),
                     ERR_OK);
    for (int i = 0; i < 6; i++) ck_assert_double_eq(wide[i], f32[i]);
    to = (tensor_view){"x", TENSOR_F32, 1, {2}, narrow};
    ck_assert_int_eq(safetensors_read(&file, safetensors_find(&file, "b"), &to, &err), ERR_OK);
    ck_assert_float_eq(narrow[0], (float)f64[0]);
    safetensors_close(&file);
}
END_TEST

START_TEST(test_wrong_type_or_shape_is_refused)
{
    unsigned char back[64];
    write_views();
    ck_assert_int_eq(safetensors_open(&file, path, &err), ERR_OK);
    const safetensors_entry *e = safetensors_find(&file, "b");
    tensor_view to = {"b", TENSOR_I32, 1, {2}, back};
    ck_assert_int_eq(safetensors_read(&file, e, &to, &err), ERR_TYPE);
    ck_assert_str_eq(err.pointer, "/b/dtype");
    to = (tensor_view){"b", TENSOR_F64, 1, {3}, back};
    ck_assert_int_eq(safetensors_read(&file, e, &to, &err), ERR_RANGE);
    ck_assert_str_eq(err.pointer, "/b/shape");
    to = (tensor_view){"b", TENSOR_F64, 2, {2, 1}, back};
    ck_assert_int_eq(safetensors_read(&file, e, &to, &err), ERR_RANGE);
    safetensors_close(&file);
}
END_TEST

START_TEST(test_writing_leaves_nothing_or_everything)
{
    safetensors_writer w;
    ck_assert_int_eq(safetensors_writer_open(&w, path, &err), ERR_OK);
    ck_assert_int_eq(safetensors_add(&w, "", &views[0], &err), ERR_OK);
    safetensors_abort(&w);
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert_int_eq(safetensors_writer_open(&w, path, &err), ERR_OK);
    ck_assert_int_eq(safetensors_add(&w, "", &views[0], &err), ERR_OK);
    ck_assert_int_eq(safetensors_add(&w, "", &views[0], &err), ERR_OK);
    ck_assert_int_eq(safetensors_commit(&w, "", &err), ERR_RANGE); /* twice the same name */
    ck_assert_int_ne(access(path, F_OK), 0);
    ck_assert_int_eq(safetensors_writer_open(&w, "/nonexistent/a", &err), ERR_IO);
    ck_assert_ptr_nonnull(strstr(err.message, "No such file"));
}
END_TEST

/* --- hostile files ---------------------------------------------------------------------------- */

#define T(shape, begin, end)                                                                       \
    "{\"dtype\":\"F32\",\"shape\":[" shape "],\"data_offsets\":[" begin "," end "]}"

static const struct {
    const char *header;
    size_t data;
    err_code code;
    const char *pointer;
} hostile[] = {
    {"", 0, ERR_JSON, ""},
    {"[]", 0, ERR_TYPE, ""},
    {"{\"a\":1}", 0, ERR_TYPE, "/a"},
    {"{\"a\":{}}", 0, ERR_MISSING_FIELD, "/a"},
    {"{\"a\":" T("1", "0", "4") ",\"a\":" T("1", "0", "4") "}", 4, ERR_DUPLICATE_FIELD, "/a"},
    {"{\"a\":{\"dtype\":\"F33\",\"shape\":[1],\"data_offsets\":[0,4]}}", 4, ERR_UNKNOWN_NAME,
     "/a/dtype"},
    {"{\"a\":{\"dtype\":4,\"shape\":[1],\"data_offsets\":[0,4]}}", 4, ERR_UNKNOWN_NAME, "/a/dtype"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":1,\"data_offsets\":[0,4]}}", 4, ERR_TYPE, "/a/shape"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1,1,1,1,1,1,1,1,1],\"data_offsets\":[0,4]}}", 4,
     ERR_TYPE, "/a/shape"},
    {"{\"a\":" T("-1", "0", "4") "}", 4, ERR_TYPE, "/a/shape"},
    {"{\"a\":" T("1.5", "0", "6") "}", 6, ERR_TYPE, "/a/shape"},
    {"{\"a\":" T("1e99", "0", "4") "}", 4, ERR_TYPE, "/a/shape"},
    {"{\"a\":" T("4294967296,4294967296,4294967296", "0", "0") "}", 0, ERR_RANGE, "/a/shape"},
    {"{\"a\":" T("4611686018427387904", "0", "0") "}", 0, ERR_TYPE, "/a/shape"},
    {"{\"a\":" T("1", "0", "8") "}", 8, ERR_RANGE, "/a/data_offsets"},
    {"{\"a\":" T("1", "0", "8") "}", 4, ERR_RANGE, "/a/data_offsets"},
    {"{\"a\":" T("1", "4", "0") "}", 4, ERR_RANGE, "/a/data_offsets"},
    {"{\"a\":" T("1", "-4", "0") "}", 4, ERR_TYPE, "/a/data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0]}}", 4, ERR_TYPE,
     "/a/data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4,4]}}", 4, ERR_TYPE,
     "/a/data_offsets"},
    {"{\"a\":{\"dtype\":\"F32\",\"shape\":[1],\"data_offsets\":[0,4],\"x\":1}}", 4,
     ERR_UNKNOWN_FIELD, "/a/x"},
    {"{\"a\":" T("1", "0", "4") ",\"b\":" T("1", "0", "4") "}", 4, ERR_RANGE, "/b/data_offsets"},
    {"{\"a\":" T("2", "0", "8") ",\"b\":" T("1", "4", "8") "}", 8, ERR_RANGE, "/b/data_offsets"},
    {"{\"a\":" T("1", "0", "4") ",\"b\":" T("1", "8", "12") "}", 12, ERR_RANGE, "/b/data_offsets"},
    {"{\"a\":" T("1", "0", "4") "}", 5, ERR_RANGE, ""},
    {"{\"a\\u0000\":" T("1", "0", "4") "}", 4, ERR_JSON, ""},
    {"{\"a\":[[[[[[1]]]]]]}", 0, ERR_LIMIT, "/a/0/0/0"},
};

START_TEST(test_hostile_header_is_refused)
{
    static const char data[64];
    write_file(hostile[_i].header, strlen(hostile[_i].header), data, hostile[_i].data);
    err_code code = safetensors_open(&file, path, &err);
    ck_assert_msg(code == hostile[_i].code, "%s: %s %s", hostile[_i].header, error_name(code),
                  err.message);
    ck_assert_msg(strcmp(err.pointer, hostile[_i].pointer) == 0, "%s: %s", hostile[_i].header,
                  err.pointer);
}
END_TEST

START_TEST(test_header_size_is_not_believed)
{
    static const size_t claims[] = {3, 1000, 1 << 30, SIZE_MAX, SIZE_MAX - 7, (size_t)1 << 63};
    for (size_t i = 0; i < sizeof claims / sizeof *claims; i++) {
        write_file("{}", claims[i], NULL, 0);
        ck_assert_int_eq(safetensors_open(&file, path, &err), ERR_LIMIT);
    }
    FILE *to = fopen(path, "wb");
    fwrite("1234567", 1, 7, to);
    fclose(to);
    ck_assert_int_eq(safetensors_open(&file, path, &err), ERR_JSON);
}
END_TEST

START_TEST(test_file_that_shrinks_is_an_io_error)
{
    float back[6];
    tensor_view to = views[0];
    write_views();
    ck_assert_int_eq(safetensors_open(&file, path, &err), ERR_OK);
    ck_assert_int_eq(truncate(path, 100), 0);
    to.data = back;
    ck_assert_int_eq(safetensors_read(&file, safetensors_find(&file, to.name), &to, &err), ERR_IO);
    safetensors_close(&file);
    ck_assert_int_eq(safetensors_open(&file, folder, &err), ERR_IO);
    ck_assert_int_eq(safetensors_open(&file, "/nonexistent", &err), ERR_IO);
}
END_TEST

START_TEST(test_random_damage_never_crashes)
{
    write_views();
    struct stat status;
    ck_assert_int_eq(stat(path, &status), 0);
    size_t n = (size_t)status.st_size;
    unsigned char *whole = malloc(n), *bytes = malloc(n);
    FILE *from = fopen(path, "rb");
    ck_assert_uint_eq(fread(whole, 1, n, from), n);
    fclose(from);
    uint64_t state = (uint64_t)_i * 977 + 1;
    for (int round = 0; round < 200; round++) {
        memcpy(bytes, whole, n);
        for (int edits = 0; edits < 3; edits++) {
            state = state * UINT64_C(6364136223846793005) + 1442695040888963407u;
            bytes[(state >> 33) % n] =
                (unsigned char)"0123456789[]{}\",:e-\xff"[(state >> 20) % 20];
        }
        FILE *to = fopen(path, "wb");
        fwrite(bytes, 1, n, to);
        fclose(to);
        if (safetensors_open(&file, path, &err) == ERR_OK) safetensors_close(&file);
    }
    free(whole);
    free(bytes);
}
END_TEST

int main(void)
{
    Suite *s = suite_create("safetensors");
    TCase *c = tcase_create("files");
    tcase_add_checked_fixture(c, setup, teardown);
    tcase_set_timeout(c, 30);
    tcase_add_test(c, test_what_is_written_is_read_back);
    tcase_add_test(c, test_tensors_begin_at_a_multiple_of_8);
    tcase_add_test(c, test_floats_are_converted);
    tcase_add_test(c, test_wrong_type_or_shape_is_refused);
    tcase_add_test(c, test_writing_leaves_nothing_or_everything);
    tcase_add_loop_test(c, test_hostile_header_is_refused, 0, sizeof hostile / sizeof *hostile);
    tcase_add_test(c, test_header_size_is_not_believed);
    tcase_add_test(c, test_file_that_shrinks_is_an_io_error);
    tcase_add_loop_test(c, test_random_damage_never_crashes, 0, 5);
    suite_add_tcase(s, c);
    return suite_run(s);
}

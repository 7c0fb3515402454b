#include "server/text/json_out.h"

#include "server/text/utf8.h"

#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static bool reserve(json_out *o, size_t more)
{
    if (o->failed) return false;
    if (more < o->cap - o->n && o->text) return true;
    size_t cap = o->cap ? o->cap : 256;
    while (cap - o->n <= more) {
        if (cap > SIZE_MAX / 2) {
            o->failed = true;
            return false;
        }
        cap *= 2;
    }
    char *text = realloc(o->text, cap);
    if (!text) {
        o->failed = true;
        return false;
    }
    o->text = text;
    o->cap = cap;
    return true;
}

void json_bytes(json_out *o, const char *bytes, size_t n)
{
    if (!reserve(o, n)) return;
    memcpy(o->text + o->n, bytes, n);
    o->n += n;
    o->text[o->n] = '\0';
}

void json_text(json_out *o, const char *text)
{
    json_bytes(o, text, strlen(text));
}

static uint64_t level(const json_out *o)
{
    return UINT64_C(1) << (o->depth - 1);
}

static void before_item(json_out *o)
{
    if (o->after_key) {
        o->after_key = false;
        return;
    }
    if (o->depth == 0) return;
    if (o->has_items & level(o)) json_bytes(o, ",", 1);
    o->has_items |= level(o);
}

static void begin(json_out *o, bool array)
{
    before_item(o);
    json_bytes(o, array ? "[" : "{", 1);
    if (o->depth == 64) {
        o->failed = true;
        return;
    }
    o->depth++;
    o->has_items &= ~level(o);
    o->is_array = array ? o->is_array | level(o) : o->is_array & ~level(o);
}

void json_begin_object(json_out *o)
{
    begin(o, false);
}

void json_begin_array(json_out *o)
{
    begin(o, true);
}

void json_end(json_out *o)
{
    if (o->depth == 0) return;
    json_bytes(o, o->is_array & level(o) ? "]" : "}", 1);
    o->depth--;
}

void json_key(json_out *o, const char *key)
{
    json_string(o, key);
    json_bytes(o, ":", 1);
    o->after_key = true;
}

static size_t escape(char out[8], unsigned char c)
{
    static const char letters[] = "btn\0fr";
    if (c == '"' || c == '\\') {
        out[0] = '\\', out[1] = (char)c;
        return 2;
    }
    if (c >= '\b' && c <= '\r' && letters[c - '\b']) {
        out[0] = '\\', out[1] = letters[c - '\b'];
        return 2;
    }
    return (size_t)snprintf(out, 8, "\\u%04x", c);
}

void json_string_n(json_out *o, const char *bytes, size_t n)
{
    before_item(o);
    json_bytes(o, "\"", 1);
    for (size_t i = 0; i < n;) {
        size_t run = i;
        size_t length = 1;
        while (run < n && (unsigned char)bytes[run] >= 0x20 && bytes[run] != '"' &&
               bytes[run] != '\\' && bytes[run] != 0x7f &&
               (length = utf8_length(bytes + run, n - run)) > 0)
            run += length;
        json_bytes(o, bytes + i, run - i);
        if (run == n) break;
        char escaped[8];
        if (length == 0)
            json_bytes(o, "\xef\xbf\xbd", 3);
        else
            json_bytes(o, escaped, escape(escaped, (unsigned char)bytes[run]));
        i = run + 1;
    }
    json_bytes(o, "\"", 1);
}

void json_string(json_out *o, const char *text)
{
    if (text)
        json_string_n(o, text, strlen(text));
    else
        json_null(o);
}

void json_raw_n(json_out *o, const char *text, size_t n)
{
    before_item(o);
    json_bytes(o, text, n);
}

void json_raw(json_out *o, const char *text)
{
    json_raw_n(o, text, strlen(text));
}

void json_bool(json_out *o, bool value)
{
    json_raw(o, value ? "true" : "false");
}

void json_null(json_out *o)
{
    json_raw(o, "null");
}

void json_integer(json_out *o, int64_t value)
{
    char text[JSON_NUMBER];
    int n = snprintf(text, sizeof text, "%lld", (long long)value);
    json_raw_n(o, text, (size_t)n);
}

void json_unsigned(json_out *o, uint64_t value)
{
    char text[JSON_NUMBER];
    int n = snprintf(text, sizeof text, "%llu", (unsigned long long)value);
    json_raw_n(o, text, (size_t)n);
}

static const char *infinite_text(reason why)
{
    switch (why) {
    case REASON_NAN:
        return "NaN";
    case REASON_POS_INF:
        return "Infinity";
    case REASON_NEG_INF:
        return "-Infinity";
    default:
        return NULL;
    }
}

void json_number(json_out *o, double value, reason why)
{
    char text[JSON_NUMBER];
    if (why == REASON_NONE) why = reason_of(value);
    if (why == REASON_NONE)
        json_raw_n(o, text, json_number_text(text, value));
    else
        json_string(o, infinite_text(why));
}

void json_double(json_out *o, double value)
{
    json_number(o, value, REASON_NONE);
}

void json_string_member(json_out *o, const char *key, const char *text)
{
    json_key(o, key);
    json_string(o, text);
}

void json_integer_member(json_out *o, const char *key, int64_t value)
{
    json_key(o, key);
    json_integer(o, value);
}

void json_bool_member(json_out *o, const char *key, bool value)
{
    json_key(o, key);
    json_bool(o, value);
}

void json_raw_member(json_out *o, const char *key, const char *text)
{
    json_key(o, key);
    json_raw(o, text ? text : "null");
}

void json_number_member(json_out *o, const char *key, double value)
{
    json_key(o, key);
    json_double(o, value);
}

void json_object_member(json_out *o, const char *key)
{
    json_key(o, key);
    json_begin_object(o);
}

void json_array_member(json_out *o, const char *key)
{
    json_key(o, key);
    json_begin_array(o);
}

void json_double_member(json_out *o, const char *key, double value)
{
    if (key) json_key(o, key);
    if (isnan(value))
        json_null(o);
    else
        json_double(o, value);
}

void json_csv_string(json_out *o, const char *text)
{
    if (!text[strcspn(text, "\",\r\n")]) {
        json_text(o, text);
        return;
    }
    json_bytes(o, "\"", 1);
    for (size_t n; *text; text += n) {
        if (*text == '"') json_bytes(o, "\"", 1);
        n = 1 + strcspn(text + 1, "\"");
        json_bytes(o, text, n);
    }
    json_bytes(o, "\"", 1);
}

void json_csv_number(json_out *o, double value, reason why)
{
    char text[JSON_NUMBER];
    if (why == REASON_NONE) why = reason_of(value);
    if (why == REASON_NONE)
        json_bytes(o, text, json_number_text(text, value));
    else if (infinite_text(why))
        json_text(o, infinite_text(why));
}

void json_reset(json_out *o)
{
    *o = (json_out){.text = o->text, .cap = o->cap};
    if (o->text) o->text[0] = '\0';
}

void json_deinit(json_out *o)
{
    free(o->text);
    *o = (json_out){0};
}

char *json_take(json_out *o)
{
    if (!o->failed && !o->text) json_bytes(o, "", 0);
    char *text = o->failed ? NULL : o->text;
    if (!text) free(o->text);
    *o = (json_out){0};
    return text;
}

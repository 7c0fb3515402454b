#include "server/text/json_scan.h"

#include "server/text/utf8.h"

#include <stdbool.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

const json_scan_limits json_scan_job = {.bytes = 256 << 10, .tokens = 16384, .depth = 32};

/* Where the scan stands: one level per open container. */
typedef struct level {
    bool is_array;
    uint32_t object;  /* number of this object, to tell its keys from others' */
    size_t index;     /* array: of the current element */
    size_t key_begin; /* object: current key, between its quotes */
    size_t key_end;
} level;

typedef struct key_slot {
    uint64_t hash;
    size_t begin;
    uint32_t length, object; /* object 0: slot is free */
} key_slot;

typedef struct scan {
    const char *bytes;
    size_t n, at;
    const json_scan_limits *limits;
    error *err;
    size_t tokens;
    uint32_t objects;
    int depth;
    level levels[JSON_SCAN_DEPTH];
    key_slot *slots;
    size_t n_slots; /* a power of two, more than twice the keys that fit */
    uint64_t hash_key;
} scan;

/* --- where a fault is ------------------------------------------------------------------------- */

static unsigned hex4(const char *p)
{
    unsigned value = 0;
    for (int i = 0; i < 4; i++) {
        unsigned c = (unsigned char)p[i];
        value = value << 4 | (c <= '9' ? c - '0' : (c | 32) - 'a' + 10);
    }
    return value;
}

/* The next character of a valid string at *at, unescaped, as UTF-8; returns its length. */
static size_t unescape(const char *bytes, size_t *at, char out[4])
{
    static const char from[] = "bfnrt", to[] = "\b\f\n\r\t";
    const char *p = bytes + *at;
    if (*p != '\\') {
        out[0] = *p;
        *at += 1;
        return 1;
    }
    if (p[1] != 'u') {
        const char *letter = strchr(from, p[1]);
        out[0] = letter ? to[letter - from] : p[1];
        *at += 2;
        return 1;
    }
    unsigned code = hex4(p + 2);
    *at += 6;
    if (code >= 0xd800 && code < 0xdc00) {
        code = 0x10000 + ((code - 0xd800) << 10) + (hex4(p + 8) - 0xdc00);
        *at += 6;
    }
    return utf8_encode(out, code);
}

static size_t append_key(char *out, size_t n, size_t cap, const scan *s, const level *l)
{
    for (size_t at = l->key_begin; at < l->key_end;) {
        char c[4];
        size_t length = unescape(s->bytes, &at, c);
        bool special = length == 1 && (*c == '~' || *c == '/');
        if (n + length + special >= cap) return n;
        if (special) {
            out[n++] = '~';
            c[0] = *c == '~' ? '0' : '1';
        }
        memcpy(out + n, c, length);
        n += length;
    }
    return n;
}

static size_t append_index(char *out, size_t n, size_t cap, size_t index)
{
    char digits[24];
    size_t length = 0;
    do digits[length++] = (char)('0' + index % 10);
    while (index /= 10);
    if (n + length >= cap) return n;
    while (length) out[n++] = digits[--length];
    return n;
}

static void write_pointer(const scan *s, char *out, size_t cap)
{
    size_t n = 0;
    for (int i = 0; i < s->depth && n + 2 < cap; i++) {
        const level *l = &s->levels[i];
        if (!l->is_array && l->key_begin == 0) break; /* no key read yet */
        out[n++] = '/';
        n = l->is_array ? append_index(out, n, cap, l->index) : append_key(out, n, cap, s, l);
    }
    out[n] = '\0';
}

static err_code fault_at(scan *s, err_code code, size_t at, const char *what)
{
    if (!s->err) return code;
    char pointer[sizeof s->err->pointer];
    write_pointer(s, pointer, sizeof pointer);
    size_t line = 1, column = 1;
    for (size_t i = 0; i < at && i < s->n; i++) {
        column = s->bytes[i] == '\n' ? 1 : column + 1;
        line += s->bytes[i] == '\n';
    }
    return error_set(s->err, code, pointer, "%s, at byte %zu (line %zu, column %zu)", what, at,
                     line, column);
}

static err_code fault(scan *s, const char *what)
{
    return fault_at(s, ERR_JSON, s->at, s->at < s->n ? what : "the text ends too early");
}

/* --- tokens ----------------------------------------------------------------------------------- */

static int peek(const scan *s)
{
    return s->at < s->n ? (unsigned char)s->bytes[s->at] : -1;
}

static void skip_space(scan *s)
{
    while (s->at < s->n && (s->bytes[s->at] == ' ' || s->bytes[s->at] == '\n' ||
                            s->bytes[s->at] == '\r' || s->bytes[s->at] == '\t'))
        s->at++;
}

static size_t skip_digits(scan *s)
{
    size_t from = s->at;
    while (s->at < s->n && s->bytes[s->at] >= '0' && s->bytes[s->at] <= '9') s->at++;
    return s->at - from;
}

static err_code scan_number(scan *s)
{
    size_t from = s->at;
    if (peek(s) == '-') s->at++;
    bool zero = peek(s) == '0';
    size_t digits = skip_digits(s);
    if (digits == 0) return fault(s, "a number needs a digit here");
    if (zero && digits > 1)
        return fault_at(s, ERR_JSON, from, "a number must not begin with a zero");
    if (peek(s) == '.') {
        s->at++;
        if (skip_digits(s) == 0) return fault(s, "a number needs a digit after its point");
    }
    if (peek(s) == 'e' || peek(s) == 'E') {
        s->at++;
        if (peek(s) == '+' || peek(s) == '-') s->at++;
        if (skip_digits(s) == 0) return fault(s, "a number needs a digit in its exponent");
    }
    if (s->at - from > JSON_SCAN_NUMBER)
        return fault_at(s, ERR_LIMIT, from, "a number is longer than 64 characters");
    return ERR_OK;
}

static bool is_hex4(const scan *s, size_t at)
{
    if (s->n - at < 4) return false;
    for (size_t i = at; i < at + 4; i++) {
        char c = s->bytes[i];
        if (!((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f') || (c >= 'A' && c <= 'F')))
            return false;
    }
    return true;
}

/* At the u of \u. */
static err_code scan_unicode_escape(scan *s)
{
    size_t from = s->at - 1;
    s->at++;
    if (!is_hex4(s, s->at)) return fault(s, "\\u needs four hexadecimal digits");
    unsigned code = hex4(s->bytes + s->at);
    s->at += 4;
    if (code == 0) return fault_at(s, ERR_JSON, from, "the character U+0000 is not allowed");
    if (code < 0xd800 || code > 0xdfff) return ERR_OK;
    bool pair = code < 0xdc00 && s->n - s->at >= 6 && s->bytes[s->at] == '\\' &&
                s->bytes[s->at + 1] == 'u' && is_hex4(s, s->at + 2);
    unsigned low = pair ? hex4(s->bytes + s->at + 2) : 0;
    if (low < 0xdc00 || low > 0xdfff)
        return fault_at(s, ERR_JSON, from, "a surrogate stands alone");
    s->at += 6;
    return ERR_OK;
}

/* At the opening quote; leaves the place between the quotes in *begin, *end. */
static err_code scan_string(scan *s, size_t *begin, size_t *end)
{
    err_code code;
    *begin = ++s->at;
    while (s->at < s->n) {
        unsigned char c = (unsigned char)s->bytes[s->at];
        if (c == '"') {
            *end = s->at++;
            return ERR_OK;
        }
        if (c < 0x20) return fault(s, "a control character in a string must be escaped");
        if (c != '\\') {
            size_t length = utf8_length(s->bytes + s->at, s->n - s->at);
            if (length == 0) return fault(s, "this is not UTF-8");
            s->at += length;
            continue;
        }
        s->at++;
        int escaped = peek(s);
        if (escaped == 'u') {
            if ((code = scan_unicode_escape(s))) return code;
        } else if (escaped > 0 && strchr("\"\\/bfnrt", escaped)) {
            s->at++;
        } else {
            return fault(s, "there is no such escape");
        }
    }
    return fault(s, "");
}

static err_code scan_word(scan *s, const char *word)
{
    size_t length = strlen(word);
    if (s->n - s->at < length || memcmp(s->bytes + s->at, word, length) != 0)
        return fault_at(s, ERR_JSON, s->at, "a value was expected here");
    s->at += length;
    return ERR_OK;
}

/* --- keys ------------------------------------------------------------------------------------- */

static uint64_t mix(uint64_t hash)
{
    hash ^= hash >> 32;
    hash *= UINT64_C(0x9e3779b97f4a7c15);
    return hash ^ hash >> 29;
}

/* A string read byte by byte, unescaped. */
typedef struct cursor {
    const char *bytes;
    size_t at, end;
    char held[4];
    size_t n_held, next;
} cursor;

static cursor cursor_of(const scan *s, const key_slot *k)
{
    return (cursor){.bytes = s->bytes, .at = k->begin, .end = k->begin + k->length};
}

static int next_byte(cursor *c)
{
    if (c->next == c->n_held) {
        if (c->at == c->end) return -1;
        c->n_held = unescape(c->bytes, &c->at, c->held);
        c->next = 0;
    }
    return (unsigned char)c->held[c->next++];
}

static uint64_t hash_of(const scan *s, const key_slot *k)
{
    uint64_t hash = mix(s->hash_key ^ k->object);
    cursor c = cursor_of(s, k);
    for (int byte; (byte = next_byte(&c)) >= 0;) hash = mix(hash ^ (unsigned)byte) + s->hash_key;
    return hash;
}

static bool same_key(const scan *s, const key_slot *a, const key_slot *b)
{
    cursor ca = cursor_of(s, a), cb = cursor_of(s, b);
    for (;;) {
        int byte = next_byte(&ca);
        if (byte != next_byte(&cb)) return false;
        if (byte < 0) return true;
    }
}

static err_code note_key(scan *s, const level *l)
{
    key_slot key = {.begin = l->key_begin,
                    .length = (uint32_t)(l->key_end - l->key_begin),
                    .object = l->object};
    key.hash = hash_of(s, &key);
    size_t i = key.hash & (s->n_slots - 1);
    for (; s->slots[i].object; i = (i + 1) & (s->n_slots - 1))
        if (s->slots[i].hash == key.hash && s->slots[i].object == key.object &&
            same_key(s, &s->slots[i], &key))
            return fault_at(s, ERR_DUPLICATE_FIELD, l->key_begin - 1, "this key is given twice");
    s->slots[i] = key;
    return ERR_OK;
}

/* --- grammar ---------------------------------------------------------------------------------- */

static err_code count_token(scan *s)
{
    if (++s->tokens <= s->limits->tokens) return ERR_OK;
    return fault_at(s, ERR_LIMIT, s->at, "there are more values than allowed");
}

static err_code open_container(scan *s, bool is_array)
{
    if (s->depth == s->limits->depth)
        return fault_at(s, ERR_LIMIT, s->at, "the nesting is deeper than allowed");
    s->levels[s->depth++] = (level){.is_array = is_array, .object = is_array ? 0 : ++s->objects};
    s->at++;
    return ERR_OK;
}

/* In an object, before a key: reads the key and its colon. */
static err_code scan_key(scan *s)
{
    level *l = &s->levels[s->depth - 1];
    err_code code;
    skip_space(s);
    l->key_begin = 0;
    if (peek(s) != '"') return fault(s, "a key in quotes was expected here");
    if ((code = count_token(s))) return code;
    size_t begin = 0, end = 0;
    if ((code = scan_string(s, &begin, &end))) return code;
    l->key_begin = begin, l->key_end = end;
    if ((code = note_key(s, l))) return code;
    skip_space(s);
    if (peek(s) != ':') return fault(s, "a colon was expected after the key");
    s->at++;
    return ERR_OK;
}

static err_code scan_scalar(scan *s)
{
    size_t begin, end;
    switch (peek(s)) {
    case '"':
        return scan_string(s, &begin, &end);
    case 't':
        return scan_word(s, "true");
    case 'f':
        return scan_word(s, "false");
    case 'n':
        return scan_word(s, "null");
    case '-':
    case '0':
    case '1':
    case '2':
    case '3':
    case '4':
    case '5':
    case '6':
    case '7':
    case '8':
    case '9':
        return scan_number(s);
    default:
        return fault(s, "a value was expected here");
    }
}

/* After a value: closes containers and passes a comma. *done when the whole text has been read. */
static err_code after_value(scan *s, bool *done)
{
    for (;;) {
        skip_space(s);
        if (s->depth == 0) {
            *done = true;
            if (s->at < s->n) return fault(s, "something follows the end of the JSON text");
            return ERR_OK;
        }
        level *l = &s->levels[s->depth - 1];
        if (peek(s) == ',') {
            s->at++;
            l->index++;
            return l->is_array ? ERR_OK : scan_key(s);
        }
        if (peek(s) != (l->is_array ? ']' : '}'))
            return fault(s, l->is_array ? "a comma or ] was expected here"
                                        : "a comma or } was expected here");
        s->at++;
        s->depth--;
    }
}

static err_code scan_text(scan *s)
{
    err_code code;
    for (bool done = false; !done;) {
        skip_space(s);
        if ((code = count_token(s))) return code;
        int c = peek(s);
        if (c == '{' || c == '[') {
            if ((code = open_container(s, c == '['))) return code;
            skip_space(s);
            bool empty = peek(s) == (c == '[' ? ']' : '}');
            if (!empty && c == '[') continue;
            if (!empty) {
                if ((code = scan_key(s))) return code;
                continue;
            }
            s->at++;
            s->depth--;
        } else if ((code = scan_scalar(s))) {
            return code;
        }
        if ((code = after_value(s, &done))) return code;
    }
    return ERR_OK;
}

err_code json_scan(const char *bytes, size_t n, const json_scan_limits *limits, error *err)
{
    if (n > limits->bytes)
        return error_set(err, ERR_LIMIT, "", "the JSON text has %zu bytes; allowed are %zu", n,
                         limits->bytes);
    if (n >= 3 && memcmp(bytes, "\xef\xbb\xbf", 3) == 0)
        return error_set(err, ERR_JSON, "", "the text begins with a byte order mark; remove it");
    scan s = {.bytes = bytes, .n = n, .limits = limits, .err = err};
    size_t keys = n / 4 < limits->tokens ? n / 4 : limits->tokens; /* "":0 is the shortest member */
    for (s.n_slots = 16; s.n_slots <= 2 * keys; s.n_slots *= 2) continue;
    if (!(s.slots = calloc(s.n_slots, sizeof *s.slots)))
        return error_set(err, ERR_MEMORY, "", "not enough memory to read %zu bytes of JSON", n);
    if (getrandom(&s.hash_key, sizeof s.hash_key, GRND_NONBLOCK) != sizeof s.hash_key)
        s.hash_key = (uint64_t)(uintptr_t)s.slots;
    s.hash_key |= 1;
    err_code code = scan_text(&s);
    free(s.slots);
    return code;
}

/* The shortest decimal text of a double.
 *
 * Most numbers of a probe lie between 1e-10 and 1e15 and need 16 or 17 digits; printf and strtod
 * would take a microsecond for each. Here |value| is scaled to 17 digits in long double (64 bits
 * and more, so with an error below 0.03 of the last digit) and rounded to 15, 16 and 17 digits; the
 * first that lies within half a unit in the last place of value is the answer. Whenever that error
 * could change a decision, and outside the range, printf and strtod decide: both ways give the same
 * text (tests/server/text/test_json_out.c).
 */
#include "server/text/json_out.h"

#include <float.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const double least = 1e-10, most = 1e15;
static const long double slack = 0.1L;

static const long double powers[] = {
    1e0L,  1e1L,  1e2L,  1e3L,  1e4L,  1e5L,  1e6L,  1e7L,  1e8L,  1e9L,
    1e10L, 1e11L, 1e12L, 1e13L, 1e14L, 1e15L, 1e16L, 1e17L, 1e18L, 1e19L,
    1e20L, 1e21L, 1e22L, 1e23L, 1e24L, 1e25L, 1e26L, 1e27L,
};

/* 17 digits of `whole` as %.17g would lay them out, without trailing zeros. e: power of ten of the
 * first. */
static size_t lay_out(char *out, bool negative, uint64_t whole, int e)
{
    enum { DIGITS = 17 };
    char digits[DIGITS], *p = out;
    int n = DIGITS, used = 0;
    for (int i = DIGITS - 1; i >= 0; i--, whole /= 10) digits[i] = (char)('0' + whole % 10);
    while (n > 1 && digits[n - 1] == '0') n--;
    if (negative) *p++ = '-';
    if (e < -4) {
        *p++ = digits[used++];
    } else if (e < 0) {
        *p++ = '0';
    } else {
        for (int i = 0; i <= e; i++) *p++ = used < n ? digits[used++] : '0';
    }
    if (used < n) *p++ = '.';
    for (int zeros = e < -4 ? 0 : -1 - e; zeros > 0; zeros--) *p++ = '0';
    memcpy(p, digits + used, (size_t)(n - used));
    p += n - used;
    if (e < -4) p += snprintf(p, 8, "e%d", e);
    *p = '\0';
    return (size_t)(p - out);
}

/* 0: undecided. */
static size_t fast_text(char *out, double value)
{
    double size = fabs(value);
    if (LDBL_MANT_DIG < 64 || !(size >= least && size < most)) return 0;
    int exponent;
    double mantissa = frexp(size, &exponent);
    if (mantissa == 0.5) return 0; /* the unit in the last place changes here */
    int e = (int)floor((exponent - 1) * 0.30102999566398119521);
    long double scaled = size * powers[16 - e];
    if (scaled >= 1e17L) scaled = size * powers[16 - ++e];
    long double half_unit = ldexpl(powers[16 - e], exponent - 54);
    uint64_t whole = (uint64_t)scaled;
    long double part = scaled - (long double)whole;
    for (uint64_t unit = 100; unit; unit /= 10) {
        long double rest = (long double)(whole % unit) + part, middle = (long double)unit / 2;
        if (fabsl(rest - middle) < slack) return 0;
        bool up = rest > middle;
        long double distance = up ? (long double)unit - rest : rest;
        if (fabsl(distance - half_unit) < slack) return 0;
        if (distance > half_unit) continue;
        uint64_t rounded = whole - whole % unit + (up ? unit : 0);
        if (rounded == UINT64_C(100000000000000000)) rounded /= 10, e++;
        return lay_out(out, value < 0, rounded, e);
    }
    return 0;
}

/* "1e-05" becomes "1e-5", "1e+20" becomes "1e20". */
static size_t trim_exponent(char *text)
{
    char *e = strchr(text, 'e');
    if (!e) return strlen(text);
    char *to = e + 1, *from = e + 1;
    if (*from == '-')
        *to++ = *from++;
    else if (*from == '+')
        from++;
    while (*from == '0' && from[1]) from++;
    while ((*to++ = *from++)) continue;
    return (size_t)(to - text) - 1;
}

size_t json_number_text(char out[JSON_NUMBER], double value)
{
    if (fabs(value) < 0x1p53 && value == (double)(int64_t)value && !(value == 0 && signbit(value)))
        return (size_t)snprintf(out, JSON_NUMBER, "%lld", (long long)value);
    size_t n = fast_text(out, value);
    if (n) return n;
    for (int digits = 15; digits <= 17; digits++) {
        snprintf(out, JSON_NUMBER, "%.*g", digits, value);
        if (digits == 17 || strtod(out, NULL) == value) break;
    }
    return trim_exponent(out);
}

#include "server/text/text.h"

#include <nettle/sha2.h>
#include <stdio.h>

void text_sha256(char out[TEXT_SHA256], const void *bytes, size_t n)
{
    struct sha256_ctx context;
    uint8_t digest[SHA256_DIGEST_SIZE];
    sha256_init(&context);
    sha256_update(&context, n, bytes);
    sha256_digest(&context, sizeof digest, digest);
    for (size_t i = 0; i < sizeof digest; i++) snprintf(out + 2 * i, 3, "%02x", digest[i]);
}

void text_complain(const error *err)
{
    char line[sizeof err->pointer + sizeof err->message + 16];
    const char *message = *err->message ? err->message : error_sentence(err->code);
    snprintf(line, sizeof line, "%s%s%s", err->pointer, *err->pointer ? ": " : "", message);
    for (char *p = line; *p; p++)
        if ((unsigned char)*p < 0x20 || *p == 0x7f) *p = '?';
    fprintf(stderr, "normscope: %s\n", line);
}

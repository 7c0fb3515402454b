/* Reads files through a fuzz target without a fuzzer: a crash that was found stays found.
 *
 *   replay FILE...      exits 0 when every file came back; a sanitizer or a signal ends it
 * otherwise
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static uint8_t *read_whole(const char *path, size_t *size)
{
    FILE *f = fopen(path, "rb");
    if (!f) return NULL;
    uint8_t *bytes = NULL;
    long n = -1;
    if (fseek(f, 0, SEEK_END) == 0 && (n = ftell(f)) >= 0 && fseek(f, 0, SEEK_SET) == 0) {
        bytes = malloc((size_t)n + !n);
        *size = bytes ? fread(bytes, 1, (size_t)n, f) : 0;
        if (bytes && *size != (size_t)n) {
            free(bytes);
            bytes = NULL;
        }
    }
    fclose(f);
    return bytes;
}

int main(int argc, char **argv)
{
    int failed = 0;
    for (int i = 1; i < argc; i++) {
        size_t size = 0;
        uint8_t *bytes = read_whole(argv[i], &size);
        if (!bytes) {
            fprintf(stderr, "replay: cannot read %s\n", argv[i]);
            failed++;
            continue;
        }
        fprintf(stderr, "%s\n", argv[i]); /* the last one printed is the one that crashed */
        LLVMFuzzerTestOneInput(bytes, size);
        free(bytes);
    }
    printf("100%%: Checks: %d, Failures: 0, Errors: %d\n", argc - 1, failed);
    return failed != 0;
}

#include "server/command/hf_print.h"

#include <cJSON.h>
#include <string.h>

enum { FIELD_WIDTH = 34, VALUE_WIDTH = 24 };

/* Control characters of texts from outside do not reach a terminal. */
static void print_text(FILE *to, const char *text, int width)
{
    int n = 0;
    for (const char *p = text; *p; p++) {
        unsigned char c = (unsigned char)*p;
        if ((c & 0xc0) != 0x80) n++;
        if (width && n > width) break;
        fputc(c < 0x20 || c == 0x7f ? '?' : c, to);
    }
    for (; n < width; n++) fputc(' ', to);
}

static void print_value(FILE *to, const cJSON *value, int width)
{
    char *text = cJSON_PrintUnformatted(value);
    print_text(to, text ? text : "", width);
    cJSON_free(text);
}

static void print_became(FILE *to, const cJSON *became)
{
    if (!became->child) fputs("as it is built", to);
    const cJSON *member;
    cJSON_ArrayForEach(member, became)
    {
        fprintf(to, "%s%s ", member == became->child ? "" : ", ", member->string);
        print_value(to, member, 0);
    }
}

static void print_entry(FILE *to, const cJSON *entry)
{
    const cJSON *field = cJSON_GetObjectItemCaseSensitive(entry, "field"),
                *why = cJSON_GetObjectItemCaseSensitive(entry, "why"),
                *became = cJSON_GetObjectItemCaseSensitive(entry, "became");
    if (!cJSON_IsString(field)) return;
    fputs("  ", to);
    print_text(to, field->valuestring, FIELD_WIDTH);
    fputs("  ", to);
    print_value(to, cJSON_GetObjectItemCaseSensitive(entry, "value"), VALUE_WIDTH);
    fputs("  ", to);
    if (cJSON_IsString(why))
        print_text(to, why->valuestring, 0);
    else if (became)
        print_became(to, became);
    fputc('\n', to);
}

void hf_print(FILE *to, const char *report)
{
    static const char *const lists[][2] = {
        {"used", "used"},
        {"defaulted", "left out by the config: defaults and constants of the code"},
        {"ignored", "ignored"},
        {"unsupported", "unsupported: the network that is built goes without"}};
    cJSON *tree = cJSON_Parse(report);
    const cJSON *type = cJSON_GetObjectItemCaseSensitive(tree, "model_type"),
                *summary = cJSON_GetObjectItemCaseSensitive(tree, "summary");
    if (cJSON_IsString(type) && cJSON_IsString(summary))
        fprintf(to, "%s: %s\n", type->valuestring, summary->valuestring);
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) {
        const cJSON *list = cJSON_GetObjectItemCaseSensitive(tree, lists[i][0]), *entry;
        if (!cJSON_GetArraySize(list)) continue;
        fprintf(to, "%s\n", lists[i][1]);
        cJSON_ArrayForEach(entry, list) print_entry(to, entry);
    }
    cJSON_Delete(tree);
}

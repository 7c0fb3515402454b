#include "server/job/reader.h"

#include "server/job/canonical.h"
#include "server/job/expand.h"
#include "server/job/resolved.h"
#include "server/text/json_scan.h"
#include "server/text/text.h"

#include <cJSON.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static err_code no_memory(error *err)
{
    return error_set(err, ERR_MEMORY, "", "not enough memory to read the job");
}

/* --- members that are not fields of a run ----------------------------------------------------- */

static err_code read_name(job *out, const cJSON *v, error *err)
{
    const field *f = &field_table[FIELD__name];
    if (!cJSON_IsString(v)) return draft_refuse(err, ERR_TYPE, f, v, 0);
    size_t n = strlen(v->valuestring), characters = 0;
    for (size_t i = 0; i < n; i++) {
        unsigned char c = (unsigned char)v->valuestring[i];
        characters += (c & 0xc0) != 0x80;
        if (c < 0x20 || c == 0x7f)
            return error_set(err, ERR_RANGE, "",
                             "name has the control character U+%04X; allowed is text", c);
    }
    if (characters > JOB_NAME_CHARACTERS)
        return error_set(err, ERR_RANGE, "", "name has %zu characters; allowed are %d", characters,
                         JOB_NAME_CHARACTERS);
    memcpy(out->name, v->valuestring, n + 1);
    return ERR_OK;
}

static err_code read_seeds(reading *r, const cJSON *v, error *err)
{
    const field *f = &field_table[FIELD__seeds];
    double seeds[SEEDS_MAX];
    err_code code = draft_read_integers(seeds, &r->n_seeds, SEEDS_MAX, f->max, f, v, err);
    if (code) return code;
    if (r->n_seeds == 0)
        return error_set(err, ERR_RANGE, "", "seeds is an empty list; at least one is needed");
    for (int i = 0; i < r->n_seeds; i++) {
        r->seeds[i] = (uint64_t)seeds[i];
        for (int k = 0; k < i; k++) {
            if (seeds[k] != seeds[i]) continue;
            char pointer[16];
            snprintf(pointer, sizeof pointer, "/%d", i);
            return error_set(err, ERR_RANGE, pointer, "seed %llu is given twice; seeds must differ",
                             (unsigned long long)r->seeds[i]);
        }
    }
    return ERR_OK;
}

static err_code unknown_member(const cJSON *member, error *err)
{
    draft_names names;
    draft_field_names(&names, -1);
    return draft_unknown(err, ERR_UNKNOWN_FIELD, "field called", member->string, &names.names);
}

static err_code read_member(reading *r, job *out, const cJSON *member, error *err)
{
    err_code code;
    if (draft_read_member(&r->base, member, r->lim->depth, &code, err)) return code;
    switch (field_find("", member->string)) {
    case FIELD__name:
        code = read_name(out, member, err);
        break;
    case FIELD__seeds:
        code = read_seeds(r, member, err);
        break;
    case FIELD__sweep:
        code = sweep_read(&r->sweep, member, r->lim->depth, err);
        break;
    case FIELD__expect:
        code = expect_read(out->expect, member, r->lim->depth, err);
        break;
    case FIELD__find:
        code = find_read(&r->find, member, r->lim->depth, err);
        break;
    default:
        code = unknown_member(member, err);
        break;
    }
    if (code) error_prefix(err, member->string);
    return code;
}

/* --- the whole job ---------------------------------------------------------------------------- */

static err_code read_document(reading *r, job *out, error *err)
{
    if (!cJSON_IsObject(r->document)) {
        char text[DRAFT_VALUE];
        draft_value_text(text, r->document);
        return error_set(err, ERR_TYPE, "", "the job is %s; allowed: an object", text);
    }
    const cJSON *member;
    cJSON_ArrayForEach(member, r->document)
    {
        err_code code = read_member(r, out, member, err);
        if (code) return code;
    }
    if (r->find.wanted) {
        int depth = r->base.given[FIELD__depth] ? r->base.spec.depth : 0;
        err_code code = find_expand(&r->find, &r->sweep, depth, err);
        if (code) return code;
        out->finds_depth = true;
    }
    if (r->n_seeds == 0)
        for (; r->n_seeds < 3; r->n_seeds++) r->seeds[r->n_seeds] = (uint64_t)r->n_seeds;
    return ERR_OK;
}

/* The tree of bytes that json_scan has passed. A copy with a NUL, because cJSON's older versions
 * read past the end of a buffer that has none. */
static cJSON *parse(const char *bytes, size_t n)
{
    char *text = malloc(n + 1);
    if (!text) return NULL;
    memcpy(text, bytes, n);
    text[n] = '\0';
    cJSON *tree = cJSON_ParseWithLengthOpts(text, n + 1, NULL, true);
    free(text);
    return tree;
}

/* What follows the fields: runs and the canonical text, or only what is said about them. */
static err_code finish(reading *r, bool echo, job *out, error *err)
{
    if (echo) return expand_echo(r, out, err);
    err_code code = expand_runs(r, out, err);
    if (code) return code;
    out->resolved = resolved_text(r, out);
    if (!out->resolved) return no_memory(err);
    text_sha256(out->hash, out->resolved, strlen(out->resolved));
    return ERR_OK;
}

static err_code
read_job(const char *bytes, size_t n, const limits *lim, bool echo, job *out, error *err)
{
    error unwanted;
    if (!err) err = &unwanted;
    job_init(out);
    json_scan_limits scan_limits = json_scan_job;
    scan_limits.bytes = lim->body_bytes;
    err_code code = json_scan(bytes, n, &scan_limits, err);
    if (code) return code;
    cJSON *tree = parse(bytes, n);
    reading *r = calloc(1, sizeof *r);
    out->expect = calloc(1, sizeof *out->expect);
    if (tree && r && out->expect) {
        r->lim = lim;
        r->document = tree;
        code = read_document(r, out, err);
        if (!code) code = finish(r, echo, out, err);
    } else {
        code = no_memory(err);
    }
    if (r) reading_deinit(r);
    free(r);
    cJSON_Delete(tree);
    return code;
}

err_code reader_job(const char *bytes, size_t n, const limits *lim, job *out, error *err)
{
    return read_job(bytes, n, lim, false, out, err);
}

err_code reader_echo(const char *bytes, size_t n, const limits *lim, job *out, error *err)
{
    return read_job(bytes, n, lim, true, out, err);
}

char *reader_run_text(const run_spec *spec)
{
    return reader_run_text_with(spec, NULL);
}

char *reader_run_text_with(const run_spec *spec, const expectations *expect)
{
    bool include[FIELD_COUNT];
    json_out o = {0};
    for (int i = 0; i < FIELD_COUNT; i++) include[i] = true;
    json_begin_object(&o);
    canonical_members(&o, spec, include, (canonical_names){0}, &spec->seed, 1, NULL);
    if (expect && expect->n) {
        json_key(&o, "expect");
        expect_write(&o, expect);
    }
    json_end(&o);
    return json_take(&o);
}

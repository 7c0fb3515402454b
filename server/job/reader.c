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
    int id = field_find("", member->string);
    const field_kind *k = id < 0 ? NULL : kind_table[field_table[id].type];
    code = k && k->read_own ? k->read_own(r, out, member, err) : unknown_member(member, err);
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

#include "server/job/find.h"

#include <cJSON.h>
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static err_code
refuse(err_code code, const char *name, const cJSON *v, const char *allowed, error *err)
{
    char text[DRAFT_VALUE];
    draft_value_text(text, v);
    return error_set(err, code, "", "%s is %s; allowed: %s", name, text, allowed);
}

static err_code read_depth(int *out, const cJSON *v, int depth_max, error *err)
{
    char allowed[64];
    double n = cJSON_IsNumber(v) ? v->valuedouble : 0;
    snprintf(allowed, sizeof allowed, "integers 1 to %d", depth_max);
    if (!cJSON_IsNumber(v)) return refuse(ERR_TYPE, v->string, v, allowed, err);
    if (!(n >= 1 && n <= depth_max) || n != floor(n))
        return refuse(ERR_RANGE, v->string, v, allowed, err);
    *out = (int)n;
    return ERR_OK;
}

err_code find_read(find *out, const cJSON *value, int depth_max, error *err)
{
    static const char allowed[] = "\"max_depth\", or an object with max_depth and min_depth";
    *out = (find){.wanted = true};
    if (cJSON_IsString(value) && strcmp(value->valuestring, "max_depth") == 0) {
        out->short_form = true;
        return ERR_OK;
    }
    if (!cJSON_IsObject(value))
        return refuse(cJSON_IsString(value) ? ERR_RANGE : ERR_TYPE, "find", value, allowed, err);
    const cJSON *v;
    cJSON_ArrayForEach(v, value)
    {
        bool max = strcmp(v->string, "max_depth") == 0;
        err_code code;
        if (!max && strcmp(v->string, "min_depth") != 0)
            code =
                error_set(err, ERR_UNKNOWN_FIELD, "",
                          "there is no member of find called %.40s; allowed: max_depth, min_depth",
                          v->string);
        else
            code = read_depth(max ? &out->max : &out->min, v, depth_max, err);
        if (code) error_prefix(err, v->string);
        if (code) return code;
    }
    if (!out->max)
        return error_set(err, ERR_MISSING_FIELD, "/max_depth",
                         "find needs the largest depth to try");
    if (out->min > out->max)
        return error_set(err, ERR_RANGE, "/min_depth",
                         "min_depth is %d, above max_depth, which is %d", out->min, out->max);
    return ERR_OK;
}

/* --- candidates ------------------------------------------------------------------------------- */

/* Ascending, distinct, both ends included. */
static int ladder(int out[FIND_CANDIDATES], int min, int max)
{
    int n = 0;
    bool all = max - min < FIND_CANDIDATES;
    for (int i = 0; i < FIND_CANDIDATES; i++) {
        int depth =
            all ? min + i : (int)lround(min * pow((double)max / min, i / (FIND_CANDIDATES - 1.0)));
        if (depth <= max && (n == 0 || depth > out[n - 1])) out[n++] = depth;
    }
    return n;
}

int find_depths(int out[FIND_CANDIDATES], int min, int max)
{
    int sorted[FIND_CANDIDATES], low[FIND_CANDIDATES + 1] = {0}, high[FIND_CANDIDATES + 1] = {0};
    int n = ladder(sorted, min, max), head = 0, tail = 1;
    low[0] = 0, high[0] = n - 1;
    for (int k = 0; k < n; k++, head++) {
        int middle = low[head] + (high[head] - low[head]) / 2;
        out[k] = sorted[middle];
        if (low[head] < middle) low[tail] = low[head], high[tail++] = middle - 1;
        if (middle < high[head]) low[tail] = middle + 1, high[tail++] = high[head];
    }
    return n;
}

/* --- the axis --------------------------------------------------------------------------------- */

static err_code no_memory(error *err)
{
    return error_set(err, ERR_MEMORY, "", "not enough memory for the job");
}

static err_code make_axis(axis *a, const find *f, error *err)
{
    int depths[FIND_CANDIDATES], n = find_depths(depths, f->min, f->max);
    *a = (axis){.path = "depth", .hidden = true};
    a->values = calloc((size_t)n, sizeof *a->values);
    if (!a->values) return no_memory(err);
    for (; a->n < n; a->n++) {
        axis_value *v = &a->values[a->n];
        json_out o = {0};
        v->given.given[FIELD__depth] = true;
        v->given.spec.depth = depths[a->n];
        json_integer(&o, depths[a->n]);
        v->text = json_take(&o);
        if (!v->text) return no_memory(err);
    }
    return ERR_OK;
}

static err_code resolve(find *f, const sweep *s, int depth, error *err)
{
    for (int i = 0; i < s->n; i++)
        if (strcmp(s->axes[i].path, "depth") == 0)
            return error_set(err, ERR_COMBINATION, "/sweep/depth",
                             "find looks for the depth; the sweep gives depths too");
    if (f->max && depth)
        return error_set(err, ERR_COMBINATION, "/depth",
                         "find.max_depth is the largest depth; depth is given too");
    if (!f->max && !depth)
        return error_set(err, ERR_MISSING_FIELD, "/depth",
                         "\"find\": \"max_depth\" needs depth, the largest to try");
    if (!f->max) f->max = depth;
    if (!f->min) f->min = f->max < FIND_MIN_DEPTH ? f->max : FIND_MIN_DEPTH;
    return ERR_OK;
}

err_code find_expand(find *f, sweep *s, int depth, error *err)
{
    err_code code = resolve(f, s, depth, err);
    if (code) return code;
    axis *axes = calloc((size_t)s->n + 1, sizeof *axes);
    if (!axes) return no_memory(err);
    if (s->n) memcpy(axes + 1, s->axes, (size_t)s->n * sizeof *axes);
    free(s->axes);
    s->axes = axes;
    s->n++;
    return make_axis(&axes[0], f, err);
}

const char *find_others(const char *arm)
{
    arm += strcspn(arm, "0123456789");
    arm += strspn(arm, "0123456789");
    return arm + (*arm == ',');
}

bool find_settles(int depth, int judged_depth, verdict_level judged)
{
    return judged == LEVEL_FAIL ? depth > judged_depth : judged && depth < judged_depth;
}

void find_write(json_out *o, const find *f)
{
    json_begin_object(o);
    json_integer_member(o, "max_depth", f->max);
    json_integer_member(o, "min_depth", f->min);
    json_end(o);
}

void find_schema(json_out *o)
{
    json_raw_member(
        o, "oneOf",
        "[{\"const\":\"max_depth\"},{\"type\":\"object\",\"additionalProperties\":false,"
        "\"required\":[\"max_depth\"],\"properties\":{"
        "\"max_depth\":{\"type\":\"integer\",\"minimum\":1},"
        "\"min_depth\":{\"type\":\"integer\",\"minimum\":1}}}]");
}

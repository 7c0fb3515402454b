/* Health, version, and the index of the API. */
#include "server/api/api.h"
#include "server/machine/version.h"

#include <math.h>
#include <stdio.h>
#include <zlib.h>

void api_healthz(request *r, reply *out)
{
    scheduler_health live = {.probe_age_s = NAN};
    if (r->http->scheduler) scheduler_health_get(r->http->scheduler, &live);
    bool store_ok = store_healthy(r->http->store);
    bool ok = store_ok && live.probe_ok && live.workers_alive > 0;
    json_out o = {0};
    json_begin_object(&o);
    json_string_member(&o, "status", ok ? "ok" : "failing");
    json_integer_member(&o, "workers_alive", live.workers_alive);
    json_integer_member(&o, "workers_busy", live.workers_busy);
    json_integer_member(&o, "runs_queued", live.runs_queued);
    json_integer_member(&o, "runs_running", live.runs_running);
    json_bool_member(&o, "probe_ok", live.probe_ok);
    json_key(&o, "probe_age_s");
    if (isfinite(live.probe_age_s))
        json_double(&o, live.probe_age_s);
    else
        json_null(&o);
    json_bool_member(&o, "store_ok", store_ok);
    json_string_member(&o, "version", NORMSCOPE_VERSION);
    json_end(&o);
    reply_json(out, ok ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, &o);
}

void api_version(request *r, reply *out)
{
    (void)r;
    json_out o = {0};
    json_begin_object(&o);
    json_string_member(&o, "name", "normscope");
    json_string_member(&o, "version", NORMSCOPE_VERSION);
    json_string_member(&o, "build", version_build());
    json_object_member(&o, "libraries");
    json_string_member(&o, "libmicrohttpd", MHD_get_version());
    json_string_member(&o, "sqlite", sqlite3_libversion());
    json_string_member(&o, "zlib", zlibVersion());
    json_end(&o);
    json_end(&o);
    out->tagged = true;
    reply_json(out, MHD_HTTP_OK, &o);
}

void api_index(request *r, reply *out)
{
    static const char *const links[][2] = {
        {"jobs", "/api/v1/jobs"},
        {"corpora", "/api/v1/corpora"},
        {"registries", "/api/v1/registries"},
        {"presets", "/api/v1/presets"},
        {"strategies", "/api/v1/strategies"},
        {"gallery", "/api/v1/gallery"},
        {"fields", "/api/v1/fields"},
        {"schema", "/api/v1/schema"},
        {"openapi", "/api/v1/openapi.json"},
        {"version", "/api/v1/version"},
        {"health", "/healthz"},
        {"service_metrics", "/metrics"},
        {"dashboard", "/"},
    };
    (void)r;
    json_out o = {0};
    json_begin_object(&o);
    json_object_member(&o, "links");
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++)
        json_string_member(&o, links[i][0], links[i][1]);
    json_end(&o);
    json_end(&o);
    out->tagged = true;
    reply_json(out, MHD_HTTP_OK, &o);
}

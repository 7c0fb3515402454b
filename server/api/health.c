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
    json_key(&o, "status");
    json_string(&o, ok ? "ok" : "failing");
    json_key(&o, "workers_alive");
    json_integer(&o, live.workers_alive);
    json_key(&o, "workers_busy");
    json_integer(&o, live.workers_busy);
    json_key(&o, "runs_queued");
    json_integer(&o, live.runs_queued);
    json_key(&o, "runs_running");
    json_integer(&o, live.runs_running);
    json_key(&o, "probe_ok");
    json_bool(&o, live.probe_ok);
    json_key(&o, "probe_age_s");
    if (isfinite(live.probe_age_s))
        json_double(&o, live.probe_age_s);
    else
        json_null(&o);
    json_key(&o, "store_ok");
    json_bool(&o, store_ok);
    json_key(&o, "version");
    json_string(&o, NORMSCOPE_VERSION);
    json_end(&o);
    reply_json(out, ok ? MHD_HTTP_OK : MHD_HTTP_SERVICE_UNAVAILABLE, &o);
}

void api_version(request *r, reply *out)
{
    (void)r;
    json_out o = {0};
    json_begin_object(&o);
    json_key(&o, "name");
    json_string(&o, "normscope");
    json_key(&o, "version");
    json_string(&o, NORMSCOPE_VERSION);
    json_key(&o, "build");
    json_string(&o, version_build());
    json_key(&o, "libraries");
    json_begin_object(&o);
    json_key(&o, "libmicrohttpd");
    json_string(&o, MHD_get_version());
    json_key(&o, "sqlite");
    json_string(&o, sqlite3_libversion());
    json_key(&o, "zlib");
    json_string(&o, zlibVersion());
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
    json_key(&o, "links");
    json_begin_object(&o);
    for (size_t i = 0; i < sizeof links / sizeof links[0]; i++) {
        json_key(&o, links[i][0]);
        json_string(&o, links[i][1]);
    }
    json_end(&o);
    json_end(&o);
    out->tagged = true;
    reply_json(out, MHD_HTTP_OK, &o);
}

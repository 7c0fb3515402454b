#include "server/api/openapi.h"
#include "server/bench/bench.h"
#include "server/catalogue/schema.h"
#include "server/command/backup.h"
#include "server/command/completion.h"
#include "server/command/describe.h"
#include "server/command/health.h"
#include "server/command/manual.h"
#include "server/command/option.h"
#include "server/command/predict.h"
#include "server/command/rank.h"
#include "server/command/run.h"
#include "server/command/serve.h"
#include "server/command/token.h"
#include "server/machine/blas.h"
#include "server/machine/provenance.h"
#include "server/machine/version.h"
#include "server/queue/worker.h"
#include "server/text/text.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>

static int put(char *text)
{
    bool ok = text && puts(text) >= 0 && fflush(stdout) == 0;
    free(text);
    return ok ? 0 : 1;
}

static int schema_main(const options *o)
{
    if (o->n_arguments == 0 || (o->n_arguments == 1 && strcmp(o->arguments[0], "job") == 0))
        return put(schema_job());
    if (o->n_arguments == 1 && strcmp(o->arguments[0], "openapi") == 0) return put(openapi_text());
    fprintf(stderr, "normscope: schema takes job or openapi, not %.40s\n", o->arguments[0]);
    return 2;
}

static int version_main(const options *o)
{
    if (o->flag[OPTION_json]) return put(provenance_json(1));
    printf("normscope %s (%s), %s, kernel %s\n", NORMSCOPE_VERSION, version_build(), blas_library(),
           blas_kernel());
    puts(NORMSCOPE_COPYRIGHT "; licence " NORMSCOPE_LICENCE ", without any warranty");
    return fflush(stdout) == 0 ? 0 : 1;
}

static int dispatch(const options *o)
{
    switch (o->command) {
    case COMMAND_serve:
        return serve_main(o);
    case COMMAND_run:
        return run_main(o);
    case COMMAND_predict:
        return predict_main(o);
    case COMMAND_rank:
        return rank_main(o);
    case COMMAND_describe:
        return describe_main(o);
    case COMMAND_schema:
        return schema_main(o);
    case COMMAND_bench:
        return bench_main(o);
    case COMMAND_backup:
        return backup_main(o);
    case COMMAND_token:
        return token_main(o);
    case COMMAND_health:
        return health_main(o);
    case COMMAND_completion:
        return completion_main(o);
    case COMMAND_manual:
        return manual_main(o);
    case COMMAND_version:
        return version_main(o);
    case COMMAND_worker:
        return worker_main();
    case COMMAND_COUNT:
        break;
    }
    return 2;
}

int main(int argc, char **argv)
{
    options o;
    error err;
    signal(SIGPIPE, SIG_IGN); /* a reader that left is an error of a write */
    if (option_parse(&o, argc, argv, &err)) {
        text_complain(&err);
        return 2;
    }
    if (o.command == COMMAND_COUNT || o.flag[OPTION_help]) {
        option_help(argc > 1 ? stdout : stderr, o.command);
        return argc > 1 ? 0 : 2;
    }
    if (o.flag[OPTION_best_blas]) blas_execute_best(argv);
    return dispatch(&o);
}

/* A run of the daemon judged: from its resolved text and its result, before both are stored. */
#ifndef SERVER_STORE_JUDGEMENT_H
#define SERVER_STORE_JUDGEMENT_H

#include "server/store/store.h"

typedef struct judgement {
    job job; /* of the run alone; holds its expectations */
    rules rules;
    verdict_finding findings[RULES_MAX];
    verdict_level level;
} judgement;

/* spec: the text of a run (reader_run_text). Errors: those of the reader, ERR_MEMORY. Large; the
 * caller calls judgement_deinit also after an error. */
err_code judgement_make(judgement *j, const char *spec, const run_result *r, error *err);
/* Only the job and the rules. */
err_code judgement_rules(judgement *j, const char *spec, error *err);
void judgement_deinit(judgement *j);

#endif

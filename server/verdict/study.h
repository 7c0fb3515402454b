/* A study: the arms of a job with their verdicts, ranked, as text and as JSON. What `normscope run`
 * prints and what the store keeps is made here, from findings of runs (server/verdict/verdict.h).
 */
#ifndef SERVER_VERDICT_STUDY_H
#define SERVER_VERDICT_STUDY_H

#include "server/text/json_out.h"
#include "server/verdict/verdict.h"

#include <stdio.h>

typedef struct study_arm {
    char *arm;    /* its swept values, JSON */
    char *others; /* those but for the depth */
    char *label;  /* "post_ln at 48 blocks" */
    char *sentence;
    int depth;
    verdict_arm of;
    verdict_finding *findings; /* [rules->n] */
} study_arm;

typedef struct study {
    const rules *rules;
    int n, cap;
    study_arm *arms;
    bool finds_depth; /* it looks for the depth: arms may have been skipped */
    verdict_level level;
    char *sentence;
    bool failed; /* out of memory: nothing is to be believed */
} study;

/* "post_ln at 48 blocks, init gpt2": the swept values (JSON), and what every network has. Heap;
 * NULL: out of memory. */
char *study_label(const char *arm, const char *placement, int depth);

void study_init(study *s, const rules *r, bool finds_depth); /* the rules are borrowed */
/* placement: a name, or NULL. runs: as verdict_arm_judge. */
void study_add(study *s,
               const char *arm,
               const char *placement,
               int depth,
               const verdict_finding *runs,
               int n_runs);
/* Ranks, and says what came out. false: out of memory. */
bool study_end(study *s);
void study_deinit(study *s);

/* The members verdict, sentence, rules_version, arms, max_depth, differs of schema/verdict.json in
 * an open object. differs: JSON, or NULL for []. */
void study_json(json_out *o, const study *s, const char *differs);
/* A table of the arms with what is wrong with each. */
void study_print(FILE *to, const study *s);

/* Of the arms with the same other values as arm `at`: the deepest that does not fail, the
 * shallowest that does; NULL: none. study_is_first: no arm before it has them. */
typedef struct study_depths {
    const study_arm *pass, *fail;
} study_depths;
study_depths study_depths_of(const study *s, int at);
bool study_is_first(const study *s, int at);

/* What one rule says about a finding: "tokens become identical by block 9 (mean cosine 0.999)"; of
 * one that is not judged, why. */
void study_says(json_out *o, const rule *r, const verdict_finding *f);
/* The sentence of a run or arm: what is wrong, the cause first, or what is well. */
void study_sentence(json_out *o, const rules *r, const verdict_finding *f, verdict_level by_rules);

#endif

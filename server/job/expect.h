/* A job's own rules: "expect", a list of objects
 *
 *   {"metric": "cos_mean", "site": "resid_out", "layer": 24, "step": 0, "min": 0, "max": 0.9,
 *    "verdict": "fail"}
 *
 * metric and one of min and max are needed. site: by default resid_out, or run or param where the
 * metric belongs there. layer: by default every layer; step: the first and the last probed step.
 * Of parameters the largest over weight matrices counts. verdict: what it is when the value is
 * outside, fail (by default) or warn.
 */
#ifndef SERVER_JOB_EXPECT_H
#define SERVER_JOB_EXPECT_H

#include "server/job/draft.h"
#include "server/text/json_out.h"
#include "server/verdict/rule.h"

typedef struct expectations {
    rule rules[RULE_EXPECT_MAX];
    char names[RULE_EXPECT_MAX][16]; /* "expect/0" */
    int n;
} expectations;

/* Error pointers are from the list. *out stays where it is: the rules point into it. */
err_code expect_read(expectations *out, const struct cJSON *list, int depth_max, error *err);
/* Is all of it measured by this run? A rule that is never judged would be a rule that never fails.
 * ERR_COMBINATION with a pointer from the document. */
err_code expect_check(const expectations *e, const run_spec *spec, error *err);
/* The list in canonical form. */
void expect_write(json_out *o, const expectations *e);
void expect_schema(json_out *o); /* of one item */

#endif

/* What theory says of the start of the networks of a job, without running them: normscope predict
 * and POST /api/v1/predict.
 *
 * No graph is built, so width and memory do not matter; what takes time is the number of blocks.
 * Limits: depth PREDICT_DEPTH, and together over the arms PREDICT_BLOCKS for the service, which
 * answers while the client waits (50 to 80 us per block, measured at depth 10000); the command has
 * no limit on the sum. Seeds do not matter: one prediction per arm.
 *
 * {"name","hash","resolved","tolerance":"…","arms":[{"arm","depth","wall_ms","predictions":[
 *   {"site","metric","param","law","layers":[…],"values":[…],"tolerances":[…]}],
 *   "reasons":[{"metric","law","reason","sentence"}]}]}
 *
 * Of networks with more than PREDICT_LAYERS blocks so many layers are told, evenly spaced, the
 * first and the last among them.
 */
#ifndef SERVER_JOB_PREDICT_H
#define SERVER_JOB_PREDICT_H

#include "server/job/job.h"
#include "server/text/json_out.h"

enum { PREDICT_DEPTH = 1000000, PREDICT_BLOCKS = 50000, PREDICT_LAYERS = 256 };

/* Limits for reading a job that is only predicted. for_service: PREDICT_BLOCKS holds. */
limits predict_limits(const limits *of_runs, bool for_service);
/* The whole object. ERR_MEMORY, and what engine.predict refuses. */
err_code predict_write(json_out *o, const job *j, error *err);

#endif

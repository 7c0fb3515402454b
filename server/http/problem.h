/* Replies that say what is wrong: application/problem+json (RFC 9457). */
#ifndef SERVER_HTTP_PROBLEM_H
#define SERVER_HTTP_PROBLEM_H

#include "server/http/reply.h"

/* By the table err_code -> status. */
void reply_error(reply *p, const error *e);

/* Faults of the request itself: rows of problem.def. parameter may be NULL. */
typedef enum problem {
#define PROBLEM(name, status, sentence) PROBLEM_##name,
#include "server/http/problem.def"
#undef PROBLEM
    PROBLEM_COUNT
} problem;

void reply_problem(reply *p, problem kind, const char *parameter, const char *format, ...)
    __attribute__((format(printf, 4, 5)));

#endif

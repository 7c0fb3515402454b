/* Whom an error blames: the document that says what a field of an arm is, not the field that was
 * found at fault. */
#ifndef SERVER_JOB_BLAME_H
#define SERVER_JOB_BLAME_H

#include "server/job/reading.h"

/* The error of an arm, whose pointer is that of a resolved run: it points to what the document
 * itself says (a value of its sweep, a shorthand, a member of its config) and names the arm where
 * there are several. Returns its code. */
err_code blame(const reading *r, const sweep_arm *arm, error *err);

#endif

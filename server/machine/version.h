/* Which Normscope this is. */
#ifndef SERVER_MACHINE_VERSION_H
#define SERVER_MACHINE_VERSION_H

#define NORMSCOPE_VERSION "0.1.0"

/* The commit it was built from, "-dirty" when files differed from it; "unknown" without git. */
const char *version_build(void);

#endif

/* Which Normscope this is. */
#ifndef SERVER_MACHINE_VERSION_H
#define SERVER_MACHINE_VERSION_H

#define NORMSCOPE_VERSION "0.1.0"
#define NORMSCOPE_LICENCE "MIT" /* as SPDX names it; the text is LICENSE */
#define NORMSCOPE_COPYRIGHT "Copyright 2026 the Normscope authors"

/* The commit it was built from, "-dirty" when files differed from it; "unknown" without git. */
const char *version_build(void);

#endif

#include "server/machine/version.h"

#ifndef NORMSCOPE_BUILD
#define NORMSCOPE_BUILD "unknown"
#endif

const char *version_build(void)
{
    return NORMSCOPE_BUILD;
}

/* Presets: named parts of jobs (server/job/preset.def), written as jobs are. */
#ifndef SERVER_JOB_PRESET_H
#define SERVER_JOB_PRESET_H

#include "core/base/registry.h"

extern const registry
    preset_registry; /* kind "presets"; row 0 is the base of jobs that name none */

const char *preset_text(int row); /* JSON text of a part of a job */

#endif

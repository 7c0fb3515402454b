/* Which Hugging Face configurations can be read, and what their code stands for
 * (server/job/hf_model.def). */
#ifndef SERVER_JOB_HF_MODEL_H
#define SERVER_JOB_HF_MODEL_H

#include "core/base/registry.h"

typedef struct hf_model {
    entry entry;            /* name: the model_type */
    const char *class;      /* how its names in "architectures" begin */
    const char *lacks;      /* what no field of a job expresses, "" when nothing */
    const char *job;        /* JSON text: part of a job */
    const char *defaults;   /* JSON text: fields that the code reads and their defaults */
    const char *refused;    /* another network: what it is; else NULL */
    const char *refused_at; /* the field that says so */
} hf_model;

extern const hf_model *const hf_model_table[];
extern const registry hf_model_registry; /* kind "hf_models" */

#endif

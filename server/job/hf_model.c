#include "server/job/hf_model.h"

/* The JSON parts are read by the preprocessor: commas inside them make them variadic. */
#define HF_MODEL(name, class, what, lacks, ...) static const char job_##name[] = #__VA_ARGS__;
#define HF_DEFAULTS(name, ...)
#define HF_REFUSED(name, class, field, why)
#include "server/job/hf_model.def"
#undef HF_MODEL
#undef HF_DEFAULTS

#define HF_MODEL(name, class, what, lacks, ...)
#define HF_DEFAULTS(name, ...) static const char defaults_##name[] = #__VA_ARGS__;
#include "server/job/hf_model.def"
#undef HF_MODEL
#undef HF_DEFAULTS
#undef HF_REFUSED

#define SOURCE(name) "huggingface/transformers 4.57.1, model_type " #name
#define HF_MODEL(name_, class_, what, lacks_, ...)                                                 \
    static const hf_model model_##name_ = {                                                        \
        .entry = {.name = #name_, .summary = what, .source = SOURCE(name_)},                       \
        .class = class_,                                                                           \
        .lacks = lacks_,                                                                           \
        .job = job_##name_,                                                                        \
        .defaults = defaults_##name_};
#define HF_DEFAULTS(name, ...)
#define HF_REFUSED(name_, class_, field, why)                                                      \
    static const hf_model model_##name_ = {                                                        \
        .entry = {.name = #name_, .summary = "refused: " why, .source = SOURCE(name_)},            \
        .class = class_,                                                                           \
        .refused = why,                                                                            \
        .refused_at = field};
#include "server/job/hf_model.def"
#undef HF_MODEL
#undef HF_REFUSED

#define HF_MODEL(name, class, what, lacks, ...) &model_##name,
#define HF_REFUSED(name, class, field, why) &model_##name,
const hf_model *const hf_model_table[] = {
#include "server/job/hf_model.def"
};
#undef HF_MODEL
#undef HF_REFUSED

#define HF_MODEL(name, class, what, lacks, ...) &model_##name.entry,
#define HF_REFUSED(name, class, field, why) &model_##name.entry,
static const entry *const rows[] = {
#include "server/job/hf_model.def"
};

const registry hf_model_registry = {
    "hf_models", "Hugging Face configurations (model_type) that model.hf_config understands", rows,
    sizeof rows / sizeof *rows};

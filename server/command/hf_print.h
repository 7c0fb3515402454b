/* What became of a Hugging Face config, for people. */
#ifndef SERVER_COMMAND_HF_PRINT_H
#define SERVER_COMMAND_HF_PRINT_H

#include <stdio.h>

/* report: the JSON of hf_config.h. Tables of fields: used, left out, ignored, unsupported. */
void hf_print(FILE *to, const char *report);

#endif

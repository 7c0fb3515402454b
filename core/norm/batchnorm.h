/* What the norms that contain a BatchNorm share (batchnorm.c says what it does). State rows 1 and 2
 * are running mean and running variance. */
#ifndef CORE_NORM_BATCHNORM_H
#define CORE_NORM_BATCHNORM_H

#include "core/norm/over_batch.h"

#define BATCHNORM_STATES                                                                           \
    {                                                                                              \
        {"steps", BATCH_ONE, 0}, {"running_mean", BATCH_CHANNELS, 0},                              \
        {                                                                                          \
            "running_var", BATCH_CHANNELS, 1                                                       \
        }                                                                                          \
    }

void batchnorm_forward(batch_pass *p);
void batchnorm_eval(batch_pass *p);
void batchnorm_backward(batch_pass *p);

#endif

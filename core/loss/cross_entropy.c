/* Next-token cross entropy, mean over all B T positions; encoders: of the hidden tokens, mean over
 * the masked positions. */
#include "core/loss/loss.h"

const loss loss_cross_entropy = {
    .entry = {.name = "cross_entropy",
              .summary = "mean next-token cross entropy in nats (encoder: over masked positions)",
              .source = "maximum likelihood"},
    .uses_tokens = true,
};

/* Synthetic gradient: loss = sum g.x at the final norm's output, g iid N(0,1): token correlation 0.
 */
#include "core/loss/loss.h"

const loss loss_grad_iid = {
    .entry = {.name = "grad_iid",
              .summary = "loss = sum g.x at the final site, g iid N(0,1) per token: gradient token "
                         "correlation 0",
              .source = "synthetic seed"},
};

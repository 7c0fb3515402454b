/* Synthetic gradient: as grad_iid with one row of g for all tokens of a sequence: correlation 1. */
#include "core/loss/loss.h"

const loss loss_grad_common = {
    .entry = {.name = "grad_common",
              .summary = "loss = sum g.x at the final site, one N(0,1) row for all tokens of a "
                         "sequence: correlation 1",
              .source = "synthetic seed"},
    .same_rows = true,
};

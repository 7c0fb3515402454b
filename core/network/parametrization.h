/* How initial weights, learning rates and multipliers go with the width of the network.
 *
 * standard: they do not, but as the init and the job say.
 *
 * mup: with m = d_model / train.base_width the network at base_width is the standard one, and wider
 * ones learn as it does. All widths of the branches are taken to grow with d_model.
 *
 *                       init                        adamw: rate   sgd: rate   multiplier
 *   matrices in blocks  base network's / sqrt(m)    1/m           1
 *   head                base network's              1             m           1/m on the logits
 *   tables              base network's              1             m
 *   gains, biases, …    base network's              1             m
 *
 * An orthogonal init of a block's matrix stays, its entries shrink as they should. Attention logits
 * are q.k sqrt(base_head_dim)/d_k in place of 1/sqrt(d_k); other logit_scales stay. The decay of an
 * update is that of the base network: weight_decay m where the rate has 1/m, weight_decay / m where
 * it has m. A tied head has the table's init and rate, and the multiplier.
 *
 * Source: Tensor Programs V, arXiv:2203.03466, table 8 (its readout as multiplier), and the release
 * of its authors for the factors of sgd and of weight decay; adamw's eps is left alone.
 */
#ifndef CORE_NETWORK_PARAMETRIZATION_H
#define CORE_NETWORK_PARAMETRIZATION_H

#include "core/init/init.h"

double parametrization_width(const run_spec *spec);                 /* m; 1 with standard */
double parametrization_rate(const run_spec *spec, const param *p);  /* times the learning rate */
double parametrization_decay(const run_spec *spec, const param *p); /* times the weight decay */
double parametrization_readout(const run_spec *spec);               /* times the logits */
double parametrization_logits(const run_spec *spec); /* times the attention logits of inv_sqrt */

/* The rule of the init for the base network's parameter, scaled to this one. */
typedef init_rule parametrization_rule(const run_spec *spec, const param *p);
init_rule parametrization_init(const run_spec *spec, const param *p, parametrization_rule *of_base);
/* The spec of the base network. */
run_spec parametrization_base(const run_spec *spec);

#endif

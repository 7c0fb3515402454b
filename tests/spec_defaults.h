/* The defaults of server/job/field.def for specs that a test makes by hand: what is zero and must not
 * be. After the fields the test cares for. */
#ifndef TESTS_SPEC_DEFAULTS_H
#define TESTS_SPEC_DEFAULTS_H

#include "core/spec.h"

#include <math.h>

/* norm_row: of a norm that q and k can have. */
static inline void spec_defaults(run_spec *s, int norm_row)
{
    spec_model *m = &s->model;
    if (!m->head_dim) m->head_dim = m->n_heads ? m->d_model / m->n_heads : m->d_model;
    m->qkv_bias = m->k_bias = m->attn_out_bias = m->mlp_bias = m->bias;
    m->qk_norm_type = norm_row;
    m->rope_base_local = m->logit_softcap = m->final_softcap = (double)NAN;
    m->rope_fraction = m->logit_factor = 1;
    m->global_every = 1;
    s->init.gain = 1;
    s->rounding.loss_scale = 1;
    s->train.base_width = 64;
    s->train.base_head_dim = 16;
    s->init.embed_std = s->init.position_std = s->init.head_std = (double)NAN;
    spec_strategy *t = &s->strategy;
    t->gain_init = t->out_gain_init = 1;
    t->alpha = t->beta = (double)NAN;
    t->fraction = 0.25;
    t->init_factor = t->stat_compat = true;
    t->parallel_norms = 1;
    t->alpha_attn = t->alpha_mlp = t->alpha_final = 0.5;
    t->groups = 4;
    t->stat_keep = 0.9;
    t->stat_window = 4;
    t->gamma_last = 0.005;
    t->rho_last = 0.8;
}

#endif

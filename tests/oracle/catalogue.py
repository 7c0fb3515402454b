"""What each strategy of the catalogue means, by its name: the fields it sets, as its paper or its code has it.

Written from the papers' equations, not from server/job/strategy.def, which a golden of each name is compared with.
How the weights start is left out: goldens set all weights themselves.
"""

HEADS = dict(qk_norm=True)
QKV = dict(qk_norm=True, v_norm=True)


def of(placement, norm="layernorm", model=None, **strategy):
    return dict(strategy=dict(placement=placement, norm=norm) | strategy, model=model or {})


STRATEGIES = {
    # one norm per sublayer, or none
    "none": of("none", "none"),
    "post_ln": of("post_ln"),
    "pre_ln": of("pre_ln"),
    "pre_ln_qk": of("pre_ln", model=HEADS),
    "non_parametric": of("pre_ln", affine=False),
    # norms on branch outputs
    "peri_ln": of("peri_ln"),
    "peri_ln_emb": of("peri_ln", embed_norm=True),
    "sandwich_ln": of("peri_ln"),
    "sandwich_depth_scaled": of("peri_ln"),
    "gemma2": of("peri_ln", "rmsnorm", eps=1e-6, unit_offset=True),
    "gemma3": of("peri_ln", "rmsnorm", eps=1e-6, unit_offset=True, model=HEADS),
    "res_post_norm": of("res_post_norm", embed_norm=True, model=dict(logit_scale="cosine")),
    "res_post_norm_unit": of("res_post_norm"),
    "olmo2_reordered": of("res_post_norm", "rmsnorm", eps=1e-6, model=HEADS | dict(qk_norm_span="joint")),
    # Post-LN with more
    "deepnorm": of("deepnorm"),
    "admin": of("admin"),
    "keel": of("keel"),
    "b2t": of("b2t"),
    # Pre-LN with more
    "subln": of("subln"),
    "normformer": of("normformer"),
    "mix_ln": of("mix_ln", fraction=0.25),
    "layernorm_scaling": of("layernorm_scaling"),
    "hybridnorm": of("hybridnorm", "rmsnorm", eps=1e-5, model=QKV),
    "hybridnorm_star": of("hybridnorm_star", "rmsnorm", eps=1e-5, model=QKV),
    "parallel": of("pre_ln", model=dict(parallel=True)),
    "parallel_two_norms": of("pre_ln", parallel_norms=2, model=dict(parallel=True)),
    "scaled_residual": of("pre_ln", residual_rule="inv_sqrt_sublayers"),
    "residual_inv_sqrt_depth": of("pre_ln", residual_rule="inv_sqrt_depth"),
    "residual_inv_depth": of("pre_ln", residual_rule="inv_depth"),
    "layerscale": of("pre_ln", branch_gain="channel"),
    "gpas": of("pre_ln", gpas=True),
    # no norm
    "rezero": of("none", "none", branch_gain="layer"),
    "skipinit": of("none", "none", branch_gain="scalar"),
    "fixup": of("fixup", "none", branch_gain="scalar", model=dict(bias=False)),
    "t_fixup": of("t_fixup", "none"),
    # two streams
    "siamesenorm": of("siamesenorm"),
    "residual_dual": of("residual_dual"),
    # the sphere
    "ngpt": of("ngpt", "l2norm", affine=False, model=dict(
        position="rope", activation="swiglu", bias=False, tied=False, logit_scale="sqrt")),
    # no skips
    "value_skipinit": of("value_skipinit", "none"),
    "u_spa": of("u_spa", "none", rho_last=0.8),
    "e_spa": of("e_spa", "none", gamma_last=0.005),
    "shaped_attention": of("shaped_attention", "none"),
    # other norms under Pre-LN
    "dyt": of("pre_ln", "dyt"),
    "derf": of("pre_ln", "derf"),
    "scalenorm": of("pre_ln", "scalenorm", eps=1e-5),
    "fixnorm": of("pre_ln", "scalenorm", eps=1e-5, fixnorm=True),
    "pre_rmsnorm": of("pre_ln", "rmsnorm", recentre=True),
    "pre_crmsnorm": of("pre_crmsnorm", "crmsnorm", affine=False),
    "l1norm": of("pre_ln", "l1norm"),
    "group_ln": of("pre_ln", "groupnorm"),
    # norms with constants or statistics of the batch
    "frozen_ln": of("pre_ln", sigma="frozen"),
    "batchnorm": of("pre_ln", "batchnorm"),
    "powernorm": of("pre_ln", "powernorm", group_scale=1),
    "unifiednorm": of("pre_ln", "unifiednorm"),
    "prepbn": of("pre_ln", "prepbn"),
}

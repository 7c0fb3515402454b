"""Job fields that a case leaves out, by the rules of server/job/field.def: a case names what it is about."""
import copy

import catalogue

MODEL = dict(
    mixer="attention", mlp="dense",
    mask="causal", position="learned", rope_base=10000.0, activation="gelu", bias=False, tied=True, qk_norm=False,
    parallel=False, embed_scale=1.0,
    qk_norm_span="head", v_norm=False, logit_scale="inv_sqrt", logit_factor=1.0, logit_softcap=None, final_softcap=None,
    window=0, global_every=1, rope_fraction=1.0, rope_base_local=None, embed_scale_learned=False)
STRATEGY = dict(
    norm="layernorm", eps=1e-5, affine=True, embed_norm=False, residual_scale=1.0,
    gain_init=1.0, unit_offset=False, out_gain_init=1.0, out_gain_rule="constant",
    residual_rule="constant", residual_scales=[], branch_gain="none", branch_gain_init=0.0, alpha=None,
    beta=None, partner_depth=0, fraction=0.25, init_factor=True, fixnorm=False, gpas=False, resscale=False,
    recentre=False, parallel_norms=1, alpha_attn=0.5, alpha_mlp=0.5, alpha_final=0.5, sigma="live",
    groups=4, stat_keep=0.9, stat_warmup=0, stat_window=4, stat_filter=False, stat_compat=True,
    stat_divisor="batch", group_scale=0, progress_steps=0, gamma_last=0.005, rho_last=0.8, overrides=[])
MEASURE = dict(eval=False)
WARMUP = dict(powernorm=10000, unifiednorm=4000)  # as released
FINAL_NORM = ("pre_ln peri_ln res_post_norm subln normformer mix_ln layernorm_scaling hybridnorm hybridnorm_star "
              "siamesenorm pre_crmsnorm").split()
HEAD_NORMS = ("layernorm", "rmsnorm", "scalenorm", "l1norm", "l1norm_gaussian", "l2norm")


def head_norm(kind):
    """Norm of queries, keys and values where the job names none."""
    return kind if kind in HEAD_NORMS else "rmsnorm"


ALONE = dict(mixer="none", mlp="layer", position="none", n_heads=1)  # family mlp


def resolve(job):
    job = copy.deepcopy(job)
    m, s = job["model"], job["strategy"]
    for field, value in ALONE.items() if m.get("family") == "mlp" else ():
        m.setdefault(field, value)
    named = catalogue.STRATEGIES[s["name"]] if "name" in s else dict(strategy={}, model={})
    norm = s.get("norm", named["strategy"].get("norm"))
    s.setdefault("stat_warmup", WARMUP.get(norm, 0))
    for group, defaults in ((m, named["model"]), (s, named["strategy"]), (m, MODEL), (s, STRATEGY),
                            (job.get("measure", {}), MEASURE)):
        for field, value in defaults.items():
            group.setdefault(field, value)
    s.setdefault("final_norm", s["placement"] in FINAL_NORM)
    m.setdefault("n_kv_heads", m["n_heads"])
    m.setdefault("head_dim", m["d_model"] // m["n_heads"])
    m.setdefault("qkv_bias", m["bias"])
    m.setdefault("k_bias", m["qkv_bias"])
    m.setdefault("attn_out_bias", m["bias"])
    m.setdefault("mlp_bias", m["bias"])
    m.setdefault("qk_norm_type", head_norm(s["norm"]))
    return job


def covers(layers, layer, depth):
    """Does an override with these layers (from 1) mean this block? Thirds: early 1..L/3, middle to 2L/3."""
    if layers == "all":
        return True
    if layers == "early":
        return layer <= depth // 3
    if layers == "middle":
        return depth // 3 < layer <= 2 * depth // 3
    if layers == "later":
        return layer > 2 * depth // 3
    first, last = layers if isinstance(layers, list) else (layers, layers)
    return first <= layer <= last


def at_layer(job, layer):
    """The strategy as block 1..L sees it; layers 0 and L+1 have no overrides."""
    s = dict(job["strategy"])
    if 1 <= layer <= job["depth"]:
        for o in s["overrides"]:
            if covers(o["layers"], layer, job["depth"]):
                s.update({k: v for k, v in o.items() if k != "layers"})
    return s


def depth_rule(rule, L, layer):
    return {"constant": 1.0, "inv_sqrt_depth": L**-0.5, "inv_depth": 1.0 / L,
            "inv_sqrt_sublayers": (2.0 * L) ** -0.5, "inv_sqrt_layer": layer**-0.5}[rule]

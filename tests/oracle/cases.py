"""The golden cases: small jobs in the server's own JSON, every choice explicit.

pairwise(): placement x activation in full (24 cases), positions and norms so arranged that every pair
of values of any two of the four occurs; the switches and sizes go round on top.
special(): one feature each, and the cases that carry every metric of every site.
"""
import copy
import itertools

import measure

PLACEMENTS = ["none", "post_ln", "pre_ln", "peri_ln"]
NORMS = ["none", "layernorm", "rmsnorm"]
POSITIONS = ["none", "learned", "sinusoidal", "rope"]
ACTIVATIONS = ["relu", "gelu", "gelu_tanh", "silu", "swiglu", "geglu"]
SITES = ("embed resid_in norm1_out q k v logits attn_prob attn_head_out attn_raw attn_branch resid_mid "
         "norm2_out mlp_pre mlp_act mlp_raw mlp_branch resid_out final_norm lm_logits param run").split()

BASE = {
    "name": "",
    "model": {
        "family": "transformer", "mask": "causal", "d_model": 12, "n_heads": 2, "n_kv_heads": 2,
        "d_ff": 20, "vocab": 17, "position": "learned", "rope_base": 10000.0, "activation": "gelu",
        "bias": False, "tied": True, "qk_norm": False, "parallel": False, "embed_scale": 1.0},
    "strategy": {
        "placement": "pre_ln", "norm": "layernorm", "eps": 1e-5, "affine": True,
        "embed_norm": False, "final_norm": True, "residual_scale": 1.0},
    "depth": 2,
    "init": {"scheme": "gpt2", "std": 0.02, "depth_scale": True, "embed_std": None, "head_std": None},
    "data": {"source": "random_tokens", "batch": 2, "seq_len": 6, "batches": 2, "token_corr": 0.0,
             "mask_fraction": 0.15},
    "train": {
        "steps": 3, "loss": "cross_entropy", "optimizer": "adamw", "lr": 0.01, "momentum": 0.9,
        "beta1": 0.9, "beta2": 0.999, "eps": 1e-8, "weight_decay": 0.1, "decay": "matrices",
        "warmup": 0, "schedule": "constant", "min_lr": 0.0, "clip": 1.0},
    "measure": {"steps": [0, 3], "sites": SITES, "metrics": measure.METRICS},
    "seeds": [0],
    "precision": "float64",
}

SIZES = [  # d_model, n_heads, d_ff, seq_len, batch, vocab
    (8, 2, 12, 9, 2, 11), (12, 2, 20, 5, 2, 13), (16, 4, 24, 7, 2, 17), (18, 3, 10, 6, 2, 23),
    (8, 4, 16, 6, 3, 19), (24, 4, 16, 5, 2, 11), (12, 6, 14, 8, 2, 16)]


def case(name, **changes):
    """BASE with dotted changes, the dot written as two underscores: strategy__norm='rmsnorm'."""
    job = copy.deepcopy(BASE)
    job["name"] = name
    for path, value in changes.items():
        *groups, field = path.split("__")
        target = job
        for g in groups:
            target = target[g]
        if field not in target:
            raise KeyError(path)
        target[field] = value
    if "model__n_kv_heads" not in changes:
        job["model"]["n_kv_heads"] = job["model"]["n_heads"]
    if "strategy__final_norm" not in changes:
        job["strategy"]["final_norm"] = job["strategy"]["placement"] in ("pre_ln", "peri_ln")
    return job


def some_metrics(i, count=3):
    n = len(measure.METRICS)
    return [measure.METRICS[(i * count + j) % n] for j in range(count)]


def pairwise():
    jobs = []
    for i, (a, p) in enumerate(itertools.product(range(6), range(4))):
        d, heads, ff, T, B, vocab = SIZES[i % len(SIZES)]
        placement, norm = PLACEMENTS[p], NORMS[(a + 2 * p) % 3]
        position = POSITIONS[(a + p) % 4]
        if position == "rope" and d // heads % 2:
            d = 2 * d
        name = f"{placement}-{norm}-{position}-{ACTIVATIONS[a]}"
        jobs.append(case(
            name, model__d_model=d, model__n_heads=heads, model__d_ff=ff, model__vocab=vocab,
            model__n_kv_heads=heads // 2 if i % 5 == 1 and heads % 2 == 0 else heads,
            model__position=position, model__activation=ACTIVATIONS[a],
            model__mask="bidirectional" if i % 7 == 3 else "causal",
            model__bias=i % 3 == 1, model__tied=i % 4 != 2, model__qk_norm=i % 5 == 2,
            model__parallel=i % 6 == 4, model__embed_scale=2.5 if i % 8 == 5 else 1.0,
            strategy__placement=placement, strategy__norm=norm,
            strategy__eps=[1e-5, 1e-12, 0.0][i % 3], strategy__affine=i % 9 != 7,
            strategy__embed_norm=norm != "none" and i % 4 == 3,
            strategy__residual_scale=0.5 if i % 10 == 6 else 1.0,
            depth=3 if i % 12 == 0 else 2, measure__steps=[0, 3] if i % 3 == 0 else [0],
            data__seq_len=T, data__batch=B, measure__metrics=some_metrics(i)))
    return jobs


def special():
    few = dict(measure__metrics=["loss", "rms", "grad_norm", "param_update_ratio"])
    return [
        case("full-pre-causal", depth=3, model__bias=True, measure__steps=[0]),
        case("full-peri-bidirectional", model__mask="bidirectional", model__d_model=8, model__d_ff=12,
             model__vocab=11, data__seq_len=9, strategy__placement="peri_ln", strategy__norm="rmsnorm",
             model__position="rope", model__activation="swiglu", measure__steps=[0]),
        case("full-post-deep", depth=4, strategy__placement="post_ln", model__d_model=8, model__d_ff=12,
             train__steps=0, measure__steps=[0], model__parallel=False,
             measure__sites=["embed", "resid_mid", "resid_out", "mlp_branch", "final_norm", "run"]),
        case("growth-over-blocks", depth=5, model__d_model=8, model__d_ff=12, model__embed_scale=0.3,
             train__steps=0, measure__steps=[0], measure__sites=["resid_out", "run"],
             measure__metrics=["fit", "grad_norm_rel"]),
        case("one-token", data__seq_len=1, depth=1, train__steps=0, measure__steps=[0],
             measure__sites=["embed", "attn_prob", "resid_out", "run"]),
        case("parallel-pre", model__parallel=True, model__activation="gelu_tanh", **few),
        case("parallel-post", model__parallel=True, strategy__placement="post_ln",
             strategy__norm="rmsnorm", **few),
        case("parallel-peri", model__parallel=True, strategy__placement="peri_ln", **few),
        case("gqa-qk-norm-rope", model__d_model=24, model__n_heads=6, model__n_kv_heads=2,
             model__qk_norm=True, model__position="rope", model__rope_base=500.0,
             strategy__norm="rmsnorm", model__bias=True, **few),
        case("qk-norm-without-norm", strategy__placement="none", strategy__norm="none",
             model__qk_norm=True, model__n_heads=3, **few),
        case("masked-language-model", model__mask="bidirectional", strategy__placement="post_ln",
             strategy__embed_norm=True, model__bias=True, strategy__eps=1e-12, model__tied=False, **few),
        case("final-norm-after-post", strategy__placement="post_ln", strategy__final_norm=True,
             model__activation="relu", **few),
        case("no-final-norm", strategy__final_norm=False, model__tied=False, **few),
        case("gaussian-inputs", data__source="gaussian", data__token_corr=0.3, model__tied=False,
             model__position="none", strategy__norm="rmsnorm", **few),
        case("gaussian-embed-norm", data__source="gaussian", strategy__placement="peri_ln",
             strategy__embed_norm=True, model__position="none", **few),
        case("grad-iid", train__loss="grad_iid", train__steps=1, measure__steps=[0, 1], **few),
        case("grad-common", train__loss="grad_common", strategy__placement="post_ln", train__steps=1,
             measure__steps=[0, 1], measure__metrics=["grad_norm_rel", "grad_token_corr", "loss"]),
        case("sgd-momentum", train__optimizer="sgd", train__lr=0.1, train__clip=None,
             train__weight_decay=0.05, model__bias=True, **few),
        case("sgd-decay-all-clip", train__optimizer="sgd", train__lr=0.1, train__decay="all",
             train__clip=0.25, train__momentum=0.5, strategy__placement="peri_ln", **few),
        case("adamw-warmup-cosine-clip", train__steps=5, train__warmup=2, train__schedule="cosine",
             train__min_lr=0.1, train__clip=0.5, measure__steps=[0, 2, 5], train__decay="all",
             data__batches=3, **few),
    ]


def all_cases():
    jobs = pairwise() + special()
    names = [j["name"] for j in jobs]
    assert len(set(names)) == len(names)
    return jobs

"""The golden cases: small jobs in the server's own JSON. What a case leaves out is filled by fields.py.

pairwise(): placement x activation in full (24 cases), positions and norms so arranged that every pair
of values of any two of the four occurs; the switches and sizes go round on top.
named(): the strategies of the catalogue by nothing but their names.
special(): one feature each, and the cases that carry every metric of every site.
strategies(), row_norms(), attention_forms(), modifiers(): one each of what the catalogue offers.

PENDING: cases that the oracle computes and the engine does not know yet: make_goldens.py leaves them out.
"""
import copy
import itertools

import cases_more
import catalogue
import extras
import fields
import measure
import mixing

PLACEMENTS = ["none", "post_ln", "pre_ln", "peri_ln"]
NORMS = ["none", "layernorm", "rmsnorm"]
POSITIONS = ["none", "learned", "sinusoidal", "rope"]
ACTIVATIONS = ["relu", "gelu", "gelu_tanh", "silu", "swiglu", "geglu"]
SITES = ("embed resid_in norm1_out q k v logits attn_prob attn_head_out attn_raw attn_branch resid_mid "
         "norm2_out mlp_pre mlp_act {raw}mlp_branch resid_out final_norm lm_logits param run").split()

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

OPTIONAL = {"model": [*fields.MODEL, "head_dim", "qkv_bias", "k_bias", "attn_out_bias", "mlp_bias", "qk_norm_type"],
            "strategy": fields.STRATEGY, "measure": fields.MEASURE}


def case(name, **changes):
    """BASE with dotted changes, the dot written as two underscores: strategy__norm='rmsnorm'."""
    job = copy.deepcopy(BASE)
    job["name"] = name
    for path, value in changes.items():
        *groups, field = path.split("__")
        target = job
        for g in groups:
            target = target[g]
        if field not in target and field not in OPTIONAL[groups[0]]:
            raise KeyError(path)
        target[field] = value
    if "model__n_kv_heads" not in changes:
        job["model"]["n_kv_heads"] = job["model"]["n_heads"]
    if "strategy__final_norm" not in changes:
        job["strategy"]["final_norm"] = (job["strategy"]["placement"] in fields.FINAL_NORM
                                         and job["strategy"]["norm"] != "none")
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
        case("geglu-tanh", model__activation="geglu_tanh", strategy__norm="rmsnorm", **few),
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


def small(name, **changes):
    """All sites by two metrics before any update, and the weights after three: at most 15 kB."""
    base = dict(measure__steps=[0], measure__metrics=["rms", "grad_norm"], model__d_ff=16, model__vocab=11,
                data__seq_len=7, data__batches=3)
    return case(name, **(base | changes))


LLAMA = dict(model__position="rope", model__activation="swiglu", model__tied=False, strategy__norm="rmsnorm",
             strategy__eps=1e-6)
NONE = dict(strategy__placement="none", strategy__norm="none")


def strategies():
    def placed(placement, **changes):
        return small(placement.replace("_", "-") if "name" not in changes else changes.pop("name"),
                     strategy__placement=placement, **changes)

    qkv = dict(model__qk_norm=True, model__v_norm=True, model__position="rope")
    return [
        placed("res_post_norm", model__activation="relu"),
        placed("res_post_norm", name="swin2", model__logit_scale="cosine", model__qkv_bias=True, model__k_bias=False,
               model__attn_out_bias=True, model__mlp_bias=True, model__mask="bidirectional",
               strategy__embed_norm=True, strategy__out_gain_init=0.0),
        placed("res_post_norm", name="olmo2", model__qk_norm=True, model__qk_norm_span="joint", **LLAMA),
        small("gemma2", depth=3, strategy__placement="peri_ln", strategy__norm="rmsnorm", strategy__eps=1e-6,
              strategy__unit_offset=True, model__embed_scale=3.4641016151377544, model__logit_softcap=2.0,
              model__final_softcap=1.5, model__window=3, model__global_every=2, model__n_heads=4,
              model__n_kv_heads=2, model__head_dim=4, model__position="rope", model__activation="geglu_tanh"),
        small("gemma3", depth=3, strategy__placement="peri_ln", strategy__norm="rmsnorm", strategy__eps=1e-6,
              strategy__unit_offset=True, model__embed_scale=3.4641016151377544, model__qk_norm=True,
              model__window=4, model__global_every=3, model__rope_base=1e6, model__rope_base_local=1e4,
              model__n_heads=2, model__n_kv_heads=1, model__head_dim=8, model__position="rope",
              model__activation="geglu_tanh"),
        placed("deepnorm", model__activation="relu", model__bias=True),
        placed("deepnorm", name="deepnorm-encoder-of-two", strategy__partner_depth=3, model__mask="bidirectional",
               model__activation="relu"),
        placed("deepnorm", name="deepnorm-decoder-of-two", strategy__partner_depth=3, model__position="rope"),
        placed("deepnorm", name="deepnorm-alpha", strategy__alpha=1.75, strategy__norm="rmsnorm"),
        placed("subln", model__bias=True),
        placed("subln", name="subln-gated", model__n_heads=4, model__n_kv_heads=2, model__head_dim=4, **LLAMA),
        placed("admin", model__activation="relu"),
        placed("admin", name="admin-profiled", depth=3, model__activation="relu", model__embed_scale=2.0),
        small("rezero", strategy__branch_gain="layer", model__activation="relu", model__bias=True, **NONE),
        small("skipinit", strategy__branch_gain="scalar", strategy__residual_scale=0.5, **NONE),
        small("layerscale", strategy__branch_gain="channel", model__bias=True),
        placed("fixup", strategy__norm="none", strategy__branch_gain="scalar", model__activation="relu"),
        placed("fixup", name="fixup-gated", strategy__norm="none", strategy__branch_gain="scalar",
               model__activation="swiglu", model__position="rope"),
        placed("t_fixup", strategy__norm="none", model__activation="relu"),
        placed("normformer"),
        placed("normformer", name="normformer-resscale", strategy__resscale=True, model__n_heads=4,
               model__n_kv_heads=2, model__head_dim=4, **LLAMA),
        placed("b2t"),
        placed("mix_ln", depth=3, strategy__fraction=0.5, strategy__norm="rmsnorm"),
        placed("layernorm_scaling", depth=3, **LLAMA),
        placed("hybridnorm", strategy__norm="rmsnorm", model__activation="swiglu", **qkv),
        placed("hybridnorm_star", **qkv),
        placed("ngpt", model__logit_scale="sqrt", **LLAMA | dict(
            strategy__norm="l2norm", strategy__eps=0.0, strategy__affine=False, train__weight_decay=0.0)),
        placed("ngpt", name="ngpt-relu", model__logit_scale="sqrt", model__tied=False, model__activation="relu",
               strategy__norm="l2norm", strategy__eps=0.0, strategy__affine=False, train__optimizer="sgd",
               train__lr=0.1),
        placed("keel"),
        placed("keel", name="keel-alpha", strategy__alpha=2.5, **LLAMA),
        placed("siamesenorm", model__bias=True),
        placed("residual_dual"),
        small("parallel-two-norms", model__parallel=True, strategy__parallel_norms=2, model__bias=True),
        small("parallel-peri-two-norms", model__parallel=True, strategy__parallel_norms=2,
              strategy__placement="peri_ln", strategy__norm="rmsnorm"),
        small("pre-rmsnorm-gained", strategy__norm="rmsnorm", strategy__recentre=True, model__bias=True,
              strategy__embed_norm=True, strategy__branch_gain="channel", model__parallel=True),
        small("pre-rmsnorm", strategy__norm="rmsnorm", strategy__recentre=True, strategy__affine=False,
              model__bias=True),
        placed("pre_crmsnorm", strategy__norm="crmsnorm", strategy__affine=False, model__bias=True),
        placed("pre_crmsnorm", name="pre-crmsnorm-grouped", strategy__norm="crmsnorm", strategy__affine=False,
               strategy__eps=0.01, model__n_heads=4, model__n_kv_heads=2, model__head_dim=4, model__qk_norm=True,
               model__position="rope", model__activation="swiglu", model__tied=False),
        placed("value_skipinit", strategy__norm="none", model__bias=True),
        placed("u_spa", depth=3, strategy__norm="none", strategy__rho_last=0.7),
        placed("e_spa", depth=3, strategy__norm="none", strategy__gamma_last=0.02),
        placed("e_spa", name="e-spa-long", strategy__norm="none", strategy__gamma_last=1.0, data__seq_len=96,
               data__batch=1),
        placed("u_spa", name="u-spa-bidirectional", strategy__norm="none", model__mask="bidirectional"),
        placed("e_spa", name="e-spa-bidirectional", strategy__norm="none", model__mask="bidirectional"),
        placed("shaped_attention", strategy__norm="none", model__n_heads=4),
        placed("shaped_attention", name="shaped-attention-lambda", strategy__norm="none", strategy__alpha=0.8,
               model__mask="bidirectional"),
    ]


def row_norms():
    def normed(norm, name=None, **changes):
        return small(name or "norm-" + norm.replace("_", "-"), strategy__norm=norm, **changes)

    frozen = dict(strategy__sigma="frozen")
    peri = dict(strategy__placement="peri_ln", strategy__embed_norm=True)
    return [
        normed("scalenorm", strategy__embed_norm=True),
        normed("scalenorm", "norm-scalenorm-clamped", strategy__eps=2.5),
        normed("l1norm", strategy__eps=0.01, model__qk_norm=True, **peri),
        normed("l1norm_gaussian"),
        normed("l2norm", strategy__placement="post_ln", model__qk_norm=True),
        normed("groupnorm", strategy__groups=3, strategy__eps=0.01, **peri),
        normed("groupnorm", "norm-groupnorm-post", strategy__groups=2, strategy__placement="post_ln",
               model__qk_norm=True, strategy__unit_offset=True),
        normed("dyt", **peri),
        normed("dyt", "norm-dyt-affine-off", strategy__affine=False, model__embed_scale=3.4641016151377544,
               model__embed_scale_learned=True),
        normed("derf", strategy__placement="post_ln"),
        normed("layernorm", "frozen-layernorm", **frozen, **peri),
        normed("rmsnorm", "frozen-rmsnorm", **frozen, model__qk_norm=True),
        normed("rmsnorm", "frozen-bidirectional", **frozen, strategy__placement="post_ln", model__v_norm=True,
               model__mask="bidirectional"),
        normed("layernorm", "affine-off", strategy__affine=False, **peri),
        normed("layernorm", "unit-offset-layernorm", strategy__unit_offset=True, model__qk_norm=True, **peri),
        normed("scalenorm", "unit-offset-scalenorm", strategy__unit_offset=True),
    ]


def batch_statistics_at_work():
    """Sites and gradients after some updates, so that the running state is in them; plain gradient steps, because
    Adam makes noise of gradients that are zero: what is centred afterwards has no gradient by its mean."""
    def normed(name, norm, **changes):
        base = dict(strategy__norm=norm, measure__steps=[4], train__steps=5, train__optimizer="sgd", train__lr=0.1)
        return small("norm-" + name, **(base | changes))

    peri = dict(strategy__placement="peri_ln", strategy__embed_norm=True)
    post = dict(strategy__placement="post_ln", model__activation="relu")
    evaluated = dict(measure__eval=True)
    return [
        normed("batchnorm-post", "batchnorm", strategy__stat_keep=0.75, model__qk_norm=True, **post),
        normed("batchnorm-unit-offset", "batchnorm", strategy__unit_offset=True, model__mask="bidirectional"),
        normed("batchnorm-parallel", "batchnorm", model__parallel=True, strategy__parallel_norms=2),
        normed("batchnorm-first", "batchnorm", measure__steps=[0], **peri),
        normed("powernorm-first", "powernorm", strategy__stat_warmup=3, measure__steps=[0], **post),
        normed("powernorm-warm", "powernorm", strategy__stat_warmup=3, strategy__group_scale=2),
        normed("powernorm-affine-off", "powernorm", strategy__affine=False, strategy__stat_warmup=3),
        normed("powernorm-paper", "powernorm", strategy__stat_compat=False, strategy__stat_warmup=2,
               strategy__stat_divisor="forward", strategy__stat_keep=0.75, **peri),
        normed("unifiednorm-long", "unifiednorm", strategy__stat_warmup=1, strategy__stat_window=3,
               train__steps=8, measure__steps=[7], **post),
        normed("unifiednorm-outliers", "unifiednorm", strategy__stat_warmup=1, strategy__stat_window=2,
               strategy__stat_filter=True, train__steps=8, measure__steps=[7], train__lr=2.0),
        normed("unifiednorm-window-1", "unifiednorm", strategy__stat_window=1, strategy__stat_warmup=0, **peri),
        normed("repbn-eval", "repbn", **evaluated, **post),
        normed("repbn-affine-off", "repbn", strategy__affine=False),
        normed("prepbn-half", "prepbn", strategy__stat_warmup=1, strategy__progress_steps=5),
        normed("prepbn-warm", "prepbn", strategy__stat_warmup=9, strategy__progress_steps=5, **peri),
        normed("prepbn-done", "prepbn", strategy__progress_steps=3, strategy__stat_warmup=0, **peri),
        normed("overrides-batch-and-power", "layernorm", depth=3, strategy__overrides=[
            {"layers": 2, "norm": "batchnorm"}, {"layers": 3, "norm": "powernorm", "eps": 0.01}],
            strategy__stat_warmup=2),
    ]


def batch_statistics():
    """Norms over the batch. steps: so many updates that warm-up, window and schedule are left behind."""
    def normed(norm, name=None, steps=5, **changes):
        return small(name or "norm-" + norm.replace("_", "-"), strategy__norm=norm, train__steps=steps,
                     strategy__eps=1e-3, **changes)

    evaluated = dict(measure__eval=True, measure__steps=[0, 5], measure__metrics=["loss", "rms", "grad_norm"],
                     measure__sites=["norm1_out", "resid_mid", "resid_out", "final_norm", "param", "run"])
    return [
        normed("batchnorm", strategy__placement="peri_ln", strategy__stat_keep=0.75),
        normed("batchnorm", "norm-batchnorm-eval", **evaluated),
        normed("batchnorm", "norm-batchnorm-affine-off", strategy__affine=False, strategy__placement="post_ln",
               model__mask="bidirectional", model__qk_norm=True),
        normed("powernorm_v"),
        normed("powernorm_v", "norm-powernorm-v-eval", **evaluated),
        normed("powernorm", strategy__stat_warmup=2),
        normed("powernorm", "norm-powernorm-eval", strategy__stat_warmup=3, **evaluated),
        normed("powernorm", "norm-powernorm-repaired", strategy__stat_warmup=3, strategy__stat_compat=False,
               strategy__stat_divisor="forward", strategy__group_scale=3, strategy__placement="post_ln"),
        normed("unifiednorm", steps=7, strategy__stat_window=2, strategy__stat_warmup=3),
        normed("unifiednorm", "norm-unifiednorm-filter", steps=7, strategy__stat_window=2, strategy__stat_warmup=2,
               strategy__stat_filter=True),
        normed("unifiednorm", "norm-unifiednorm-repaired", steps=7, strategy__stat_window=3,
               strategy__stat_warmup=4, strategy__stat_filter=True, strategy__stat_compat=False,
               strategy__placement="post_ln"),
        normed("unifiednorm", "norm-unifiednorm-eval", strategy__stat_window=2, strategy__stat_warmup=3,
               **evaluated),
        normed("repbn", strategy__placement="peri_ln"),
        normed("prepbn", strategy__stat_warmup=1, strategy__progress_steps=3),
        normed("prepbn", "norm-prepbn-eval", strategy__stat_warmup=1, strategy__progress_steps=5, **evaluated),
        *batch_statistics_at_work(),
        small("overrides-batchnorm", depth=3, strategy__overrides=[{"layers": [2, 3], "norm": "batchnorm"}]),
    ]


def attention_forms():
    return [
        small("attn-qk-joint", model__qk_norm=True, model__qk_norm_span="joint", model__n_heads=4,
              model__n_kv_heads=2),
        small("attn-qk-type", model__qk_norm=True, model__qk_norm_type="rmsnorm", model__v_norm=True,
              model__bias=True),
        small("attn-v-norm", model__v_norm=True, model__n_heads=4, model__n_kv_heads=2, strategy__norm="rmsnorm"),
        small("attn-head-dim", model__head_dim=5, model__n_heads=2, model__bias=True),
        small("attn-head-dim-grouped", model__head_dim=10, model__n_heads=4, model__n_kv_heads=1,
              model__position="rope", model__d_model=8),
        small("attn-rope-fraction", model__head_dim=8, model__position="rope", model__rope_fraction=0.5),
        small("attn-rope-fraction-odd", model__head_dim=8, model__position="rope", model__rope_fraction=0.4),
        small("attn-scale-one", model__logit_scale="one"),
        small("attn-scale-factor", model__logit_factor=0.75, model__logit_softcap=2.0),
        small("attn-scale-sqrt", model__logit_scale="sqrt", model__qk_norm=True),
        small("attn-cosine", model__logit_scale="cosine", model__position="rope", model__n_heads=4,
              model__n_kv_heads=2, model__head_dim=4),
        small("attn-softcap", model__logit_softcap=1.25),
        small("attn-final-softcap", model__final_softcap=0.75, model__tied=False),
        small("attn-window", model__window=3, model__global_every=9),
        small("attn-window-global", model__window=2, model__global_every=2, model__mask="bidirectional",
              measure__metrics=["rms", "grad_norm", "attn_entropy", "attn_entropy_norm"]),
        small("attn-bias-qv", model__qkv_bias=True, model__k_bias=False),
        small("attn-bias-out", model__attn_out_bias=True),
        small("mlp-bias", model__mlp_bias=True, model__activation="swiglu"),
        *(small(f"activation-{name}", model__activation=name, model__mlp_bias=True) for name in ("identity", "tanh", "selu")),
        small("relative-bias", model__position="relative_bias", model__n_heads=4, model__n_kv_heads=2, data__seq_len=21,
              model__logit_softcap=1.5),
        small("relative-bias-bidirectional", model__position="relative_bias", model__mask="bidirectional",
              model__logit_scale="cosine", data__seq_len=19, depth=3),
    ]


def modifiers():
    gpas = dict(strategy__gpas=True)
    return [
        small("gpas-pre", **gpas),
        small("gpas-peri", strategy__placement="peri_ln", **gpas),
        small("gpas-post", strategy__placement="post_ln", **gpas),
        small("gpas-deepnorm", strategy__placement="deepnorm", **gpas),
        small("gpas-layernorm-scaling", strategy__placement="layernorm_scaling", **gpas),
        small("gpas-parallel", model__parallel=True, **gpas),
        small("residual-rule", depth=3, strategy__residual_scale=1.5, strategy__residual_rule="inv_sqrt_layer"),
        small("residual-rule-sublayers", strategy__residual_rule="inv_sqrt_sublayers",
              strategy__branch_gain="channel", strategy__placement="post_ln"),
        small("residual-scales", depth=3, strategy__residual_rule="inv_depth",
              strategy__residual_scales=[0.5, -1.25, 2.0], strategy__branch_gain="layer"),
        small("overrides", depth=3, model__qk_norm=True, strategy__placement="peri_ln", strategy__overrides=[
            {"layers": "early", "affine": False}, {"layers": 2, "norm": "rmsnorm", "eps": 0.01},
            {"layers": [2, 3], "residual_scale": 0.5}, {"layers": "later", "norm": "none"}]),
        small("overrides-sigma", depth=3, strategy__overrides=[
            {"layers": "middle", "sigma": "frozen"}, {"layers": "all", "eps": 0.001}]),
        small("fixnorm", strategy__fixnorm=True, strategy__norm="scalenorm", model__tied=False,
              model__embed_scale=0.5),
        small("fixnorm-tied", strategy__fixnorm=True, strategy__norm="scalenorm", model__embed_scale=0.5),
        small("embed-scale-learned", model__embed_scale_learned=True, model__embed_scale=2.0,
              model__position="sinusoidal", strategy__embed_norm=True),
    ]


MIXED = ("none post_ln pre_ln peri_ln res_post_norm deepnorm subln admin normformer b2t mix_ln layernorm_scaling "
         "hybridnorm hybridnorm_star keel siamesenorm residual_dual").split()
WITHOUT_GPAS = ("siamesenorm", "residual_dual")


def mixed():
    """Each placement with a handful of modifiers at once, which go round with different periods."""
    jobs = []
    for i, placement in enumerate(MIXED):
        gain, position = ("none", "layer", "scalar", "channel")[i % 4], POSITIONS[(i + 1) % 4]
        changes = dict(
            model__n_heads=4, model__n_kv_heads=(4, 2, 1)[i % 3], model__head_dim=(4, 6)[i % 2],
            model__position=position, model__activation=ACTIVATIONS[(5 * i + 2) % 6],
            model__mask=("causal", "bidirectional")[i // 2 % 2], model__bias=i % 3 == 1,
            model__qk_norm=i % 2 == 0, model__qk_norm_span=("head", "joint")[i // 2 % 2] if i % 2 == 0 else "head",
            model__v_norm=i % 5 == 3, model__tied=i % 3 != 0, model__logit_softcap=2.5 if i % 7 == 2 else None,
            model__window=3 if i % 4 == 3 else 0, model__global_every=2 if i % 4 == 3 else 1,
            strategy__norm=("layernorm", "rmsnorm")[i % 2], strategy__eps=1e-3, strategy__embed_norm=i % 3 == 0,
            strategy__unit_offset=i % 5 == 1, strategy__branch_gain=gain,
            strategy__residual_scale=(1.0, 0.75)[i // 3 % 2],
            strategy__gpas=i % 2 == 1 and placement not in WITHOUT_GPAS,
            strategy__overrides=[{"layers": 2, "affine": False}] if i % 4 == 2 else [], data__seq_len=5)
        jobs.append(small("mixed-" + placement.replace("_", "-"), strategy__placement=placement, **changes))
    return jobs


NAMED = {  # where a strategy needs more depth or a width of its own to show what it is
    "mix_ln": dict(depth=4), "group_ln": dict(model=dict(d_model=24)), "fixup": dict(model=dict(activation="relu"))}


def named():
    jobs = []
    for name in catalogue.STRATEGIES:
        job = small("named-" + name.replace("_", "-"))
        more = NAMED.get(name, {})
        job["model"] = dict(d_model=12, n_heads=2, d_ff=16, vocab=11) | more.get("model", {})
        job["strategy"] = dict(name=name)
        job["depth"] = more.get("depth", 2)
        job["measure"] |= dict(sites=["resid_mid", "resid_out", "lm_logits"])
        jobs.append(job)
    return jobs


def passes_of_their_own():
    """extras.py: probes and iterations as many as there are dimensions."""
    measured = dict(steps=[0, 2], sites=["embed", "resid_out", "run"], probes=64, iterations=100)
    small_one = dict(model__d_model=8, model__d_ff=8, model__vocab=7, data__seq_len=5, train__steps=2)
    jobs = [
        small("extra-pre", **small_one, strategy__norm="layernorm", model__activation="gelu"),
        small("extra-post", **small_one, strategy__placement="post_ln", strategy__norm="rmsnorm", model__bias=True,
              model__mask="bidirectional"),
        small("extra-peri", **small_one, strategy__placement="peri_ln", model__activation="swiglu",
              model__position="rope", model__qk_norm=True, train__loss="grad_iid", train__optimizer="sgd"),
        small("extra-parallel", **small_one, depth=1, model__parallel=True, strategy__embed_norm=True,
              train__clip=None, train__optimizer="sgd"),
    ]
    for job in jobs:
        job["measure"] = dict(measured, metrics=extras.METRICS)
    return jobs


def attention_mixing():
    """mixing.py: more heads than are worked on at once, grouped queries, every kind of mask, one token."""
    measured = dict(measure__sites=["logits", "attn_prob"], measure__metrics=mixing.METRICS, measure__steps=[0, 3])
    return [
        small("mixing-causal", **measured, depth=4, model__n_heads=4, model__n_kv_heads=2, data__seq_len=12,
              model__logit_factor=6.0, init__std=0.3, model__d_model=16),
        small("mixing-bidirectional", **measured, depth=3, model__mask="bidirectional", model__position="rope",
              init__std=0.4, data__seq_len=9),
        small("mixing-window", **measured, depth=4, model__window=3, model__global_every=3, data__seq_len=13,
              init__std=0.4, model__mask="bidirectional", model__logit_softcap=2.0),
        small("mixing-nine-heads", **measured, depth=2, model__n_heads=9, model__d_model=18, init__std=0.3,
              data__seq_len=11, model__window=5, model__global_every=2),
        small("mixing-one-token", **(measured | dict(measure__steps=[0])), data__seq_len=1, depth=1),
    ]


def family_mlp():
    """A stack of dense layers: chains with the norm before and after the activation, residual sums."""
    def one(name, **changes):
        job = small("mlp-" + name, depth=3, model__family="mlp", **changes)
        for field in "n_heads n_kv_heads position rope_base qk_norm parallel".split():
            job["model"].pop(field)
        if "model__mlp" not in changes:
            job["model"].pop("d_ff")
            job["init"].pop("depth_scale")  # a layer has no last matrix
        raw = "mlp_raw " if job["model"].get("mlp") == "dense" else ""
        job["measure"]["sites"] = f"embed resid_in norm2_out mlp_pre mlp_act {raw}mlp_branch resid_out final_norm lm_logits param run".split()
        return job

    given = dict(data__source="gaussian", train__loss="grad_iid")
    before, after = dict(strategy__placement="chain_pre_act"), dict(strategy__placement="chain_post_act")
    return [
        one("chain", **before, strategy__norm="none", model__activation="relu", model__bias=True),
        one("selu", **before, **given, strategy__norm="none", model__activation="selu"),
        one("layernorm-before", **before, model__activation="gelu", model__bias=True),
        one("batchnorm-before", **before, strategy__norm="batchnorm", model__activation="relu", data__batch=3),
        one("rmsnorm-after", **after, strategy__norm="rmsnorm", model__activation="tanh"),
        one("gated-after", **after, **given, model__activation="swiglu"),
        one("dense-chain", **before, model__mlp="dense", model__activation="relu"),
        one("residual", strategy__placement="none", strategy__norm="none", strategy__residual_scale=0.5),
        one("residual-post", **given, strategy__placement="post_ln", model__activation="silu"),
        one("residual-pre", strategy__final_norm=True, strategy__embed_norm=True, model__tied=False),
        one("residual-dense", strategy__norm="rmsnorm", model__mlp="dense", model__activation="geglu", model__bias=True),
    ]


def everything():
    jobs = pairwise() + special() + strategies() + row_norms() + batch_statistics() + attention_forms() + modifiers()
    jobs += family_mlp() + mixed() + named() + passes_of_their_own() + attention_mixing()
    jobs += cases_more.all_cases(case)
    names = [j["name"] for j in jobs]
    assert len(set(names)) == len(names)
    assert PENDING <= set(names)
    return jobs


PENDING = set()  # names


PROFILED = {"admin-profiled"}


def all_cases():
    return [j for j in everything() if j["name"] not in PENDING]

"""What is published or follows from theory about networks at the start, as jobs that a small machine can run.

A claim has a sentence, a source, a job, what is measured from its result (a function of Result) and what is
predicted. It agrees when |measured - predicted| <= tolerance, absolute, or relative with `share`; with `least` or
`most` when the measured value is beyond the bound. One that is known not to reproduce says why in `known`. The settings of the reference computations: width 512 where it
fits, 64 tokens given as Gaussian vectors with correlation 0.1, LeCun weights (every map keeps the variance), ReLU.
"""
import math

BASE = dict(
    model=dict(family="transformer", mask="bidirectional", d_model=512, n_heads=8, d_ff=2048, vocab=64, position="none",
               activation="relu", tied=False),
    init="lecun", depth=24, data=dict(source="gaussian", batch=1, seq_len=64, token_corr=0.1),
    train=dict(steps=0, loss="grad_iid"), measure=dict(steps=[0], sites=["embed", "attn_prob", "resid_out", "final_norm", "param", "run"],
                                                            metrics=["var", "var_feat", "rms", "grad_norm", "grad_norm_rel", "token_corr",
                                                                     "cos_mean", "param_grad_norm", "attn_entropy", "attn_entropy_norm", "fit"]),
    seeds=[0, 1, 2, 3])


def job(**changes):
    """BASE with dotted names, written with two underscores, changed."""
    out = {k: dict(v) if isinstance(v, dict) else v for k, v in BASE.items()}
    for name, value in changes.items():
        *path, last = name.split("__")
        at = out
        for p in path:
            at = at.setdefault(p, {})
        at[last] = value
        if value is None:
            del at[last]
    return out


class Result:
    """Rows of one job: means over seeds by (arm words, step, layer, site, metric, param)."""

    def __init__(self, lines):
        self.rows = {}
        arms = {r["run_id"]: r["arm"] for r in lines if r["type"] == "run"}
        for r in lines:
            if r["type"] != "measurement":
                continue
            arm = arms[r["run_id"]]
            key = (tuple(sorted(map(str, arm.values()))), r["step"], r["layer"], r["site"], r["metric"], r["param"])
            value = r["value"]
            self.rows.setdefault(key, []).append(math.nan if value is None else float(value))

    def seeds(self, metric, layer, site="resid_out", arm="", step=None, param=None):
        """Values of all seeds; arm: words that its swept values have; step None: the last one."""
        words = set(arm.split())
        found = {k[1]: v for k, v in self.rows.items()
                 if words <= set(k[0]) and k[2:] == (layer, site, metric, param) and step in (None, k[1])}
        return found[max(found)]

    def at(self, *args, **kwargs):
        values = self.seeds(*args, **kwargs)
        return sum(values) / len(values)

    def geometric(self, *args, **kwargs):
        values = self.seeds(*args, **kwargs)
        return math.exp(sum(map(math.log, values)) / len(values))


def slope(points):
    """Least squares of y over x."""
    n = len(points)
    mx, my = sum(x for x, _ in points) / n, sum(y for _, y in points) / n
    return sum((x - mx) * (y - my) for x, y in points) / sum((x - mx) ** 2 for x, _ in points)


def exponent(result, depths, metric, layer_of, param):
    """Of the power law in depth: d ln value / d ln L over the depths of a sweep."""
    return slope([(math.log(L), math.log(result.at(metric, layer_of(L), "param", arm=str(L), param=param))) for L in depths])


def halving(result):
    """Slope of log2(1 - rho) over blocks while rho is between 0.8 and 0.999."""
    points = [(l, math.log2(1 - result.at("token_corr", l))) for l in range(1, 25)
              if 0.8 < result.at("token_corr", l) < 0.999]
    return slope(points)


def linear(result, metric="var", depth=24):
    """R^2 of a straight line through the stream's variance over blocks."""
    ys = [result.at(metric, l) for l in range(1, depth + 1)]
    b = slope(list(enumerate(ys)))
    mean, half = sum(ys) / depth, (depth - 1) / 2
    rest = sum((y - mean - b * (i - half)) ** 2 for i, y in enumerate(ys))
    return 1 - rest / sum((y - mean) ** 2 for y in ys)


DEPTHS = [4, 8, 16, 32, 64]


def xiong(strategy):
    """Xiong et al.: uniform attention, Xavier, ReLU, F = D; unit-variance vocabulary logits."""
    return job(strategy=strategy, model__d_model=256, model__n_heads=1, model__d_ff=256, model__vocab=256,
               model__logit_factor=1e-6, data__source="random_tokens", data__token_corr=None, data__seq_len=32,
               init=dict(scheme="xavier", embed_std=1, head_std=1 / 16), train__loss="cross_entropy",
               sweep=dict(depth=DEPTHS), depth=None)


WIDTHS = [64, 128, 256, 512]


def steps(parametrization):
    """Three steps of AdamW on one batch, over widths."""
    return dict(model=dict(vocab=64, n_heads=4, tied=False), depth=2, init=dict(scheme="lecun", embed_std=1), seeds=[0, 1],
                data=dict(batches=1, seq_len=16), train=dict(steps=3, lr=0.01, weight_decay=0, clip=None, parametrization=parametrization),
                measure=dict(steps=[0, 3], sites=["resid_out"], metrics=["coordinate"]), sweep={"model.d_model": WIDTHS})


def width_exponent(result):
    return slope([(math.log(d), math.log(result.at("delta_mean_abs", 2, arm=str(d), step=3))) for d in WIDTHS])


def first_update(strategies):
    """One step of plain gradient descent on one batch, at two depths."""
    return dict(model="relu_xavier", seeds=[0, 1], data=dict(batches=1),
                train=dict(steps=1, optimizer="sgd", momentum=0, lr=0.001, clip=None, weight_decay=0),
                measure=dict(steps=[0, 1], sites=["resid_out"], metrics=["coordinate"]), sweep=dict(strategy=strategies, depth=[12, 48]))


XIONG = "arXiv:2002.04745; exponents measured independently, 4 seeds"
PERI = "arXiv:2502.02732"
KERNEL = "kernel recursion; sampled independently, 4 seeds"
DOWN = "mlp.down.weight"

CLAIMS = [
    dict(claim="Pre-LN's stream grows linearly at the start: R^2 of a line", source="arXiv:2002.04745",
         job=job(strategy="pre_ln"), measure=linear, least=0.99),
    dict(claim="Pre-LN: variance after 24 blocks (between 1 + L/2 and 1 + 3L/2)", source=KERNEL,
         job=job(strategy="pre_ln"), measure=lambda r: r.at("var", 24), predicted=30.3, share=0.1),
    dict(claim="Peri-LN: variance 1 + 2 L, L = 12", source=PERI, job=job(strategy="peri_ln"),
         measure=lambda r: r.at("rms", 12) ** 2, predicted=25, share=4 / math.sqrt(512 * 4)),
    dict(claim="Peri-LN: variance 1 + 2 L, L = 24", source=PERI, job=job(strategy="peri_ln"),
         measure=lambda r: r.at("rms", 24) ** 2, predicted=49, share=4 / math.sqrt(512 * 4)),
    dict(claim="Peri-LN grows faster than Pre-LN at the start: ratio at L = 24", source=KERNEL,
         job=job(sweep=dict(strategy=["pre_ln", "peri_ln"])),
         measure=lambda r: r.at("var", 24, arm="peri_ln") / r.at("var", 24, arm="pre_ln"), predicted=49 / 30.3, share=0.1),
    dict(claim="Post-LN's stream has variance 1 per token", source="arXiv:1706.03762", job=job(strategy="post_ln"),
         measure=lambda r: r.at("var_feat", 24), predicted=1, tolerance=1e-4),
    dict(claim="Post-LN's tokens become one: log2(1 - rho) falls by 1 a block", source=KERNEL, job=job(strategy="post_ln"),
         measure=halving, predicted=-1, tolerance=0.15),
    dict(claim="Post-LN: token correlation after 8 blocks", source=KERNEL, job=job(strategy="post_ln"),
         measure=lambda r: r.at("token_corr", 8), predicted=0.9869, tolerance=0.01),
    dict(claim="Pre-LN keeps tokens apart far longer: 1 - rho after 10 blocks", source=KERNEL, job=job(strategy="pre_ln"),
         measure=lambda r: 1 - r.at("token_corr", 10), predicted=0.22, share=0.25),
    dict(claim="Post-LN's gradient, independent per token, falls to 1/sqrt(T) and no further", source=KERNEL,
         job=job(strategy="post_ln"), measure=lambda r: r.at("grad_norm_rel", 16), predicted=0.139, share=0.4),
    dict(claim="... and does not fall at all when it is the same for all tokens", source=KERNEL,
         job=job(strategy="post_ln", train__loss="grad_common"), measure=lambda r: r.at("grad_norm_rel", 12), predicted=1.07, share=0.2),
    dict(claim="Pre-LN's gradient, independent per token, at block 4 of 24", source=KERNEL, job=job(strategy="pre_ln"),
         measure=lambda r: r.at("grad_norm", 4) / r.at("grad_norm", 25, "final_norm"), predicted=0.271, share=0.12),
    dict(claim="Pre-LN's gradient, common to all tokens, at block 4 of 24", source=KERNEL,
         job=job(strategy="pre_ln", train__loss="grad_common"),
         measure=lambda r: r.at("grad_norm", 4) / r.at("grad_norm", 25, "final_norm"), predicted=0.552, share=0.12),
    dict(claim="Peri-LN's gradient, independent per token, at block 4 of 24", source=KERNEL, job=job(strategy="peri_ln"),
         measure=lambda r: r.at("grad_norm", 4) / r.at("grad_norm", 25, "final_norm"), predicted=0.219, share=0.12),
    dict(claim="No norms, branches times 1/sqrt(2L): variance at L = 24", source="arXiv:2510.03470; kernel recursion",
         job=job(strategy=dict(placement="none", norm="none", residual_rule="inv_sqrt_sublayers", final_norm=False)),
         measure=lambda r: r.at("var", 24), predicted=1.42, share=0.1),
    dict(claim="... branches times 1/L instead: the stream stays", source="arXiv:2510.03470",
         job=job(strategy=dict(placement="none", norm="none", residual_rule="inv_depth", final_norm=False)),
         measure=lambda r: r.at("var", 24), predicted=1.03, share=0.05),
    dict(claim="... unscaled: exponential, R^2 of ln var over blocks", source="arXiv:2510.03470",
         job=job(strategy=dict(placement="none", norm="none", final_norm=False), model__logit_factor=1e-6),
         measure=lambda r: r.at("var_growth_r2_exponential", -1, "run"), least=0.98),
    dict(claim="Xiong: last W_2's gradient over depth, Post-LN: exponent in L", source=XIONG, job=xiong("post_ln"),
         measure=lambda r: exponent(r, DEPTHS, "param_grad_norm", lambda L: L, DOWN), predicted=0, tolerance=0.08),
    dict(claim="Xiong: the same under Pre-LN", source=XIONG, job=xiong("pre_ln"),
         measure=lambda r: exponent(r, DEPTHS, "param_grad_norm", lambda L: L, DOWN), predicted=-0.5, tolerance=0.1),
    dict(claim="Xiong: the same under Peri-LN", source=XIONG, job=xiong("peri_ln"),
         measure=lambda r: exponent(r, DEPTHS, "param_grad_norm", lambda L: L, DOWN), predicted=-0.5, tolerance=0.1),
    dict(claim="Xiong: first W_2's gradient under Pre-LN does not depend on depth", source=XIONG, job=xiong("pre_ln"),
         measure=lambda r: exponent(r, DEPTHS, "param_grad_norm", lambda L: 1, DOWN), predicted=0, tolerance=0.1),
    dict(claim="Shaped attention keeps tokens apart: largest change of rho over 16 blocks of attention and linear maps", source="arXiv:2306.17759",
         job=job(strategy="shaped_attention", depth=16, model__activation="identity", data__token_corr=0.0),
         measure=lambda r: max(abs(r.at("token_corr", l)) for l in range(1, 17)), most=0.05),
    dict(claim="ReZero starts as the identity: x_L = x_0", source="arXiv:2003.04887", job=job(strategy="rezero"),
         measure=lambda r: r.at("var", 24) / r.at("var", 0, "embed"), predicted=1, tolerance=0),
    dict(claim="... and its branches have no gradient before the first update", source="arXiv:2003.04887",
         job=job(strategy="rezero"), measure=lambda r: r.at("param_grad_norm", 12, "param", param=DOWN), predicted=0, tolerance=0),
    dict(claim="E-SPA reaches its last kernel exp(-0.005 |i-j|), T = 64: mean cosine, with orthogonal linear maps", source="arXiv:2302.10322",
         job=job(strategy="e_spa", model__mask="causal", model__activation="identity", model__d_ff=512, init="orthogonal",
                 data__token_corr=0.0, depth=12),
         measure=lambda r: r.at("cos_mean", 12),
         predicted=sum(2 * (64 - k) * math.exp(-0.005 * k) for k in range(1, 64)) / (64 * 63), share=0.02),
    dict(claim="SELU keeps variance 1: after the MLP's first map and activation", source="arXiv:1706.02515",
         job=job(strategy="pre_ln", model__activation="selu", depth=1, data__seq_len=256, data__token_corr=0.0, measure__sites=["mlp_act"]),
         measure=lambda r: r.at("var", 1, "mlp_act"), predicted=1, tolerance=0.03),
    dict(claim="ReLU halves it: second moment 1/2", source="arXiv:1502.01852",
         job=job(strategy="pre_ln", depth=1, data__seq_len=256, data__token_corr=0.0, measure__sites=["mlp_act"]),
         measure=lambda r: r.at("rms", 1, "mlp_act") ** 2, predicted=0.5, tolerance=0.015),
    dict(claim="tanh keeps 0.3943 of it", source="quadrature",
         job=job(strategy="pre_ln", depth=1, data__seq_len=256, data__token_corr=0.0, model__activation="tanh", measure__sites=["mlp_act"]),
         measure=lambda r: r.at("rms", 1, "mlp_act") ** 2, predicted=0.394294, tolerance=0.01),
    dict(claim="Uniform causal attention, entropy of row n is ln n: normalised", source="definition",
         job=job(strategy="pre_ln", model__mask="causal", model__logit_factor=1e-6, depth=2),
         measure=lambda r: r.at("attn_entropy_norm", 1, "attn_prob"), predicted=1, tolerance=1e-6),
    dict(claim="Gaussian logits of std 1: entropy ln T - 1/2", source="arXiv:2505.24333",
         job=job(strategy="pre_ln", depth=2, data__token_corr=0.0, data__seq_len=128),
         measure=lambda r: r.at("attn_entropy", 1, "attn_prob"), predicted=math.log(128) - 0.5, share=0.02),
    dict(claim="Participation ratio of 64 Gaussian vectors of width 512", source="T d/(T + d + 1)",
         job=job(strategy="pre_ln", depth=1, data__token_corr=0.0, measure__metrics=["spectrum"]),
         measure=lambda r: r.at("participation_rank", 0, "embed"), predicted=64 * 512 / 577, tolerance=1),
    dict(claim="Their stable rank", source="T d/(sqrt T + sqrt d)^2", job=job(strategy="pre_ln", depth=1, data__token_corr=0.0, measure__metrics=["spectrum"]),
         measure=lambda r: r.at("stable_rank", 0, "embed"), predicted=37, tolerance=2),
    dict(claim="W_Q learns nothing where tokens are alike: |dW_Q|/|dW_V| of the last block under Post-LN, by that of the first",
         source="arXiv:2206.03126", job=job(strategy="post_ln"),
         measure=lambda r: (r.at("param_grad_norm", 20, "param", param="attn.q.weight") / r.at("param_grad_norm", 20, "param", param="attn.v.weight"))
         / (r.at("param_grad_norm", 1, "param", param="attn.q.weight") / r.at("param_grad_norm", 1, "param", param="attn.v.weight")), most=0.02),
    dict(claim="res_post_norm without qk_norm: the first MLP's gradient by the last one's", source="arXiv:2111.09883; measured independently",
         job=dict(model="relu_xavier", strategy="res_post_norm_unit", depth=24, seeds=[0, 1]),
         measure=lambda r: r.at("param_grad_norm", 1, "param", param=DOWN) / r.at("param_grad_norm", 24, "param", param=DOWN), least=30),
    dict(claim="... and with qk_norm", source="arXiv:2302.05442; measured independently",
         job=dict(model=dict(preset="relu_xavier", qk_norm=True), strategy="res_post_norm_unit", depth=24, seeds=[0, 1]),
         measure=lambda r: r.at("param_grad_norm", 1, "param", param=DOWN) / r.at("param_grad_norm", 24, "param", param=DOWN), most=8),
    dict(claim="Uniform causal attention halves what tokens differ in, block by block: late ratio of ||C A_l .. A_1 C||", source="eigenvalues 1/i; arXiv:2405.18781",
         job=job(strategy="pre_ln", model__mask="causal", model__logit_factor=1e-9, depth=40, seeds=[0],
                 measure__metrics=["attn_path_contraction"]),
         measure=lambda r: r.at("attn_path_contraction", 40, "attn_prob") / r.at("attn_path_contraction", 39, "attn_prob"),
         predicted=0.5, tolerance=1e-4),
    dict(claim="Largest by median entry of a Gaussian vector of width 512", source="order statistics",
         job=job(strategy="pre_ln", depth=1, data__seq_len=512, data__token_corr=0.0, measure__metrics=["mmr"]),
         measure=lambda r: r.at("mmr", 0, "embed"), predicted=4.81, tolerance=0.05),
    dict(claim="SynFlow is conserved in a chain of linear maps and ReLU: block 1 by block 6", source="arXiv:2006.05467",
         job=job(strategy="value_skipinit", depth=6, seeds=[0], measure__metrics=["synflow"]),
         measure=lambda r: r.at("synflow", 1, "run") / r.at("synflow", 6, "run"), predicted=1, tolerance=1e-4),
    dict(claim="muP: change of the stream after 3 steps of AdamW against width: exponent", source="arXiv:2203.03466",
         job=steps("mup"), measure=lambda r: width_exponent(r), predicted=0, tolerance=0.1),
    dict(claim="... and with the standard parametrization", source="arXiv:2203.03466",
         job=steps("standard"), measure=lambda r: width_exponent(r), least=0.7),
    dict(claim="DeepNorm bounds the update: change of the last stream after one step of SGD at 48 blocks, by Post-LN's", source="arXiv:2203.00555",
         job=first_update(["deepnorm", "post_ln"]),
         measure=lambda r: r.at("delta_rms", 48, arm="deepnorm 48") / r.at("delta_rms", 48, arm="post_ln 48"), most=0.1),
    dict(claim="... and does not grow with depth: 48 blocks by 12", source="arXiv:2203.00555", job=first_update(["deepnorm", "post_ln"]),
         measure=lambda r: r.at("delta_rms", 48, arm="deepnorm 48") / r.at("delta_rms", 12, arm="deepnorm 12"), most=1.5,
         known="the bound is on an upper estimate; the change itself grows about as L^0.85, from 0.0003 to 0.001 of the stream"),
]

#!/usr/bin/env python3
"""Measures at the start of training, over seeds, for `make reproduce`: tests/reproduce/section_3_2.json.

The set-up of section 3.2 of the strategies, 39 of them at init, whose numbers are means of two seeds: decoder, 4
heads, width 192, MLP 768 with ReLU, 48 tokens, 4 sequences, vocabulary 256, uniform random tokens, no biases,
gains 1, LayerNorm eps 1e-5, untied output matrix. Two inits:

    xavier    matrices N(0, 2/(in + out)), token and position embeddings N(0, 1), output matrix N(0, 1/192)
    gpt2      everything N(0, 0.02^2), positions N(0, 0.01^2), W_O and W_2 divided by sqrt(2 L), output matrix as above

Each row is a job of the server. The networks are the oracle's; random numbers come from torch's generator, so the
results agree with another implementation within the error over seeds, not digit by digit. q, k and v are normed
with eps 1e-6 in the table and 1e-5 here. Columns: var is the mean over tokens of the variance over features after
block 1, L/2, L; gw2 the norm of the gradient of W_2 of block 1, L; gx the norm of the gradient of the stream after
block 1, L; cos the mean cosine of two tokens after block L.

    reproduce_table.py [SEEDS] [ROW ...]    prints mean, spread and the table's number; writes all rows (no ROW)
"""
import json
import math
import pathlib
import sys

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import attention  # noqa: E402
import oracle  # noqa: E402
import placements  # noqa: E402

OUT = pathlib.Path(__file__).parent.parent / "reproduce" / "section_3_2.json"
COLUMNS = ["var_first", "var_middle", "var_last", "gw2_first", "gw2_last", "gx_first", "gx_last", "cos_last"]
DEPTHS = [6, 24, 48]
D, H, T, B, V = 192, 4, 48, 4, 256
QK = dict(qk_norm=True, qk_norm_type="rmsnorm")


def job(scheme, placement, L, model=None, **strategy):
    gpt2 = dict(scheme="gpt2", std=0.02, embed_std=0.02, position_std=0.01)
    return dict(
        model=dict(mask="causal", d_model=D, n_heads=H, n_kv_heads=H, d_ff=4 * D, vocab=V, position="learned",
                   activation="relu", bias=False, tied=False, qk_norm=False, parallel=False, embed_scale=1.0)
        | (model or {}),
        strategy=dict(placement=placement, norm="layernorm", eps=1e-5, affine=True, embed_norm=False,
                      final_norm=placement not in NO_FINAL, residual_scale=1.0) | strategy,
        depth=L,
        init=(gpt2 if scheme == "gpt2" else dict(scheme="xavier", embed_std=1.0)) | dict(head_std=1 / math.sqrt(D)),
        data=dict(source="random_tokens", batch=B, seq_len=T, batches=1),
        train=dict(steps=0, loss="cross_entropy"),
        measure=dict(steps=[0], sites=["resid_out", "param"],
                     metrics=["var_feat", "grad_norm", "cos_mean", "param_grad_norm"]),
        precision="float64")


NO_FINAL = ("none", "post_ln", "deepnorm", "admin", "b2t", "keel", "ngpt")

# name: (placement, model fields, strategy fields); L stands for the depth
ROWS = {
    "none": ("none", {}, lambda L: {"norm": "none"}),
    "Post-LN": ("post_ln", {}, lambda L: {}),
    "Pre-LN": ("pre_ln", {}, lambda L: {}),
    "Pre-LN, branch x 1/sqrt(2L)": ("pre_ln", {}, lambda L: {"residual_rule": "inv_sqrt_sublayers"}),
    "Peri-LN": ("peri_ln", {}, lambda L: {}),
    "Peri-LN + embedding norm": ("peri_ln", {}, lambda L: {"embed_norm": True}),
    "Sandwich, output gain 1/sqrt(2L)": ("peri_ln", {}, lambda L: {"out_gain_rule": "inv_sqrt_sublayers"}),
    "res-post-norm, gain 1, no QK-norm": ("res_post_norm", {}, lambda L: {}),
    "OLMo-2 (res-post + per-head QK RMS)": ("res_post_norm", QK, lambda L: {}),
    "DeepNorm": ("deepnorm", {}, lambda L: {}),
    "DeepNorm with beta inverted": ("deepnorm", {}, lambda L: {"beta": (8 * L) ** 0.25}),
    "Admin": ("admin", {}, lambda L: {}),
    "LayerNorm Scaling": ("layernorm_scaling", {}, lambda L: {}),
    "Mix-LN 25 %": ("mix_ln", {}, lambda L: {"fraction": 0.25}),
    "HybridNorm": ("hybridnorm", QK | {"v_norm": True}, lambda L: {}),
    "HybridNorm*": ("hybridnorm_star", QK | {"v_norm": True}, lambda L: {}),
    "B2T (no L^-1/2 rescale)": ("b2t", {}, lambda L: {"init_factor": False}),
    "KEEL, alpha=2L": ("keel", {}, lambda L: {}),
    "parallel block": ("pre_ln", {"parallel": True}, lambda L: {}),
    "NormFormer": ("normformer", {}, lambda L: {}),
    "Pre-LN + QK-norm": ("pre_ln", QK, lambda L: {}),
    "DyT alpha 0.5": ("pre_ln", {}, lambda L: {"norm": "dyt"}),
    "ReZero": ("none", {}, lambda L: {"norm": "none", "branch_gain": "layer"}),
    "SiameseNorm (stream y)": ("siamesenorm", {}, lambda L: {}),
    "nGPT": ("ngpt", {"logit_scale": "sqrt"}, lambda L: {"norm": "l2norm", "affine": False}),
}

# The table: columns at L = 24, then gw2_last at L = 6, 24, 48.
XAVIER = {
    "none": ([3.53, 7.32e+05, 8.92e+10, 2.61e+08, 1.85e+06, 1.32e+07, 0.103, 0.994], [45.8, 1.85e+06, 2.25e+11]),
    "Post-LN": ([1, 1, 1, 0.649, 1.1, 0.0642, 0.0727, 1], [0.893, 1.1, 1.15]),
    "Pre-LN": ([2.48, 12.8, 25.4, 0.782, 0.223, 0.0367, 0.0144, 0.746], [0.4, 0.223, 0.163]),
    "Pre-LN, branch x 1/sqrt(2L)": (
        [2.01, 2.13, 2.26, 0.0968, 0.0864, 0.0519, 0.0483, 0.0379], [0.174, 0.0864, 0.0612]),
    "Peri-LN": ([4, 28.9, 51.7, 1.01, 0.265, 0.0285, 0.0101, 0.772], [0.458, 0.265, 0.198]),
    "Peri-LN + embedding norm": ([3, 27.4, 50, 1.13, 0.273, 0.0316, 0.0103, 0.809], [0.485, 0.273, 0.201]),
    "Sandwich, output gain 1/sqrt(2L)": (
        [2.04, 2.56, 3.03, 0.2, 0.133, 0.0528, 0.0416, 0.162], [0.27, 0.133, 0.0944]),
    "res-post-norm, gain 1, no QK-norm": (
        [3.99, 29.1, 51.8, 81.3, 0.245, 4.16, 0.0101, 0.525], [0.441, 0.245, 0.176]),
    "OLMo-2 (res-post + per-head QK RMS)": (
        [3.99, 28.8, 51.7, 1, 0.265, 0.0287, 0.0101, 0.773], [0.458, 0.265, 0.198]),
    "DeepNorm": ([1, 1, 1, 0.0917, 0.0913, 0.0722, 0.0727, 0.00449], [0.183, 0.0913, 0.0648]),
    "DeepNorm with beta inverted": ([1, 1, 1, 0.675, 0.682, 0.12, 0.0728, 1], [0.767, 0.682, 0.425]),
    "Admin": ([1, 1, 1, 0.711, 0.226, 0.06, 0.0727, 0.738], [0.371, 0.226, 0.158]),
    "LayerNorm Scaling": ([2.48, 3.79, 4.22, 0.648, 0.0931, 0.043, 0.0355, 0.285], [0.208, 0.0931, 0.0614]),
    "Mix-LN 25 %": ([1, 10.7, 26, 0.998, 0.241, 0.0626, 0.0142, 0.972], [0.459, 0.241, 0.16]),
    "HybridNorm": ([1.32, 1.34, 1.28, 0.688, 1.07, 0.0566, 0.0639, 0.998], [0.869, 1.07, 1.1]),
    "HybridNorm*": ([2.48, 1.34, 1.27, 0.476, 1.04, 0.0347, 0.0639, 0.999], [0.847, 1.04, 1.09]),
    "B2T (no L^-1/2 rescale)": ([1, 1, 1, 0.414, 0.602, 0.0502, 0.0726, 0.954], [0.455, 0.602, 0.664]),
    "KEEL, alpha=2L": ([1, 1, 1, 0.0187, 0.0186, 0.0722, 0.0727, 0.00339], [0.0746, 0.0186, 0.0093]),
    "parallel block": ([2.48, 12.8, 24.9, 0.77, 0.219, 0.0371, 0.0146, 0.737], [0.4, 0.219, 0.155]),
    "NormFormer": ([4.59, 35.6, 63.4, 1.47, 0.257, 0.0453, 0.0091, 0.487], [0.493, 0.257, 0.185]),
    "Pre-LN + QK-norm": ([2.48, 12.8, 25.4, 0.78, 0.223, 0.0368, 0.0144, 0.747], [0.4, 0.223, 0.162]),
    "DyT alpha 0.5": ([2.11, 4.97, 10.1, 0.354, 0.198, 0.0415, 0.0205, 0.586], [0.188, 0.198, 0.171]),
    "ReZero": ([2, 2, 2, 0, 0, 0.0734, 0.0734, 0.0025], [0, 0, 0]),
    "SiameseNorm (stream y)": ([2.48, 12.1, 23.3, 0.761, 0.184, 0.0173, 0.00768, 0.693], [0.333, 0.184, 0.132]),
    "nGPT": ([0.00518, 0.00518, 0.00518, 0.00422, 0.00376, 0.074, 0.0721, 0.0402], [0.00375, 0.00376, 0.0037]),
}
GPT2 = {
    "none": [0.000499, 0.000501, 0.000503, 0.00881, 0.00879, 0.0725, 0.0723, 0.0058],
    "Post-LN": [1, 1, 1, 0.393, 0.392, 0.0721, 0.0727, 0.00568],
    "Pre-LN": [0.000754, 0.00457, 0.00811, 15.2, 4.95, 2.2, 0.804, 0.624],
    "Peri-LN": [1.41, 22.7, 44.2, 22.2, 4.35, 0.0346, 0.0109, 0.905],
    "Peri-LN + embedding norm": [2.37, 24.3, 45.5, 17.8, 4.29, 0.0302, 0.0108, 0.825],
    "res-post-norm, gain 1, no QK-norm": [0.0278, 20.3, 42.8, 27.1, 4.75, 0.147, 0.0111, 0.961],
    "OLMo-2 (res-post + per-head QK RMS)": [0.0372, 20.3, 42.5, 28, 4.78, 0.16, 0.0112, 0.955],
    "LayerNorm Scaling": [0.000754, 0.0014, 0.00157, 14.9, 2.13, 2.51, 1.82, 0.324],
    "Mix-LN 25 %": [1, 1, 1.01, 0.393, 0.391, 0.0721, 0.0719, 0.00568],
    "HybridNorm": [0.986, 1, 1, 0.394, 0.393, 0.0726, 0.0721, 0.101],
    "B2T (no L^-1/2 rescale)": [1, 1, 1, 0.383, 0.196, 0.0721, 0.0727, 0.00408],
    "KEEL, alpha=2L": [1, 1, 1, 0.00816, 0.00817, 0.0721, 0.0727, 0.00357],
    "NormFormer": [0.435, 11, 21.9, 2.57, 0.465, 0.0581, 0.0154, 0.923],
    "DyT alpha 0.5": [0.000499, 0.0005, 0.0005, 0.00219, 0.00219, 0.0362, 0.0361, 0.00422],
}


class Start:
    """First values of a parameter by (name, shape)."""

    def __init__(self, job, scheme, seed):
        self.job, self.scheme = job, scheme
        self.generator = torch.Generator().manual_seed(seed)

    def normal(self, std, shape):
        return std * torch.randn(*shape, generator=self.generator)

    def matrix(self, name, shape):
        outer = name.endswith(("attn.o.weight", "mlp.down.weight"))
        if name == "lm_head.weight":
            return 1 / math.sqrt(D)
        if self.scheme == "gpt2":
            std = 0.01 if name == "pos.weight" else 0.02
            return std / math.sqrt(2 * self.job["depth"]) if outer else std
        if name in ("embed.weight", "pos.weight"):
            return 1.0
        std = math.sqrt(2 / sum(shape))
        scaled = outer or name.endswith(("attn.v.weight", "mlp.up.weight"))
        return std * self.beta() if scaled else std

    def beta(self):
        s = self.job["strategy"]
        if s["placement"] != "deepnorm":
            return 1.0
        return s.get("beta") or (8 * self.job["depth"]) ** -0.25

    def __call__(self, name, shape):
        if len(shape) == 2:
            return self.normal(self.matrix(name, shape), shape)
        last = name.rsplit(".", 1)[-1]
        ngpt = self.job["strategy"]["placement"] == "ngpt"
        if ngpt and last in ("alpha", "qk_scale", "logit_scale"):
            return torch.full(shape, D**-0.5)
        if last == "alpha":
            return torch.full(shape, 0.5)
        if last == "weight" and self.job["strategy"].get("out_gain_rule") and "norm_out" in name:
            return torch.full(shape, (2 * self.job["depth"]) ** -0.5)
        return torch.zeros(shape) if last in ("bias", "branch_gain") else torch.ones(shape)


def cosine(x):
    u = attention.unit(x)
    return float(((u.sum(1) ** 2).sum(-1) - T).mean() / (T * (T - 1)))


def measure_one(j, scheme, seed):
    L = j["depth"]
    net = oracle.Network(j, Start(j, scheme, seed))
    tokens = torch.randint(V, (B, T + 1), generator=torch.Generator().manual_seed(1000 + seed))
    read, target = tokens[:, :-1], tokens[:, 1:]
    if j["strategy"]["placement"] == "admin":
        with torch.no_grad():
            placements.admin_profile(net, read)
    with torch.no_grad():
        net.forward(read)
    net.project()
    _, logits = net.forward(read)
    torch.nn.functional.cross_entropy(logits.flatten(0, 1), target.flatten()).backward()
    stream = lambda l: net.sites[l, "resid_out"]
    gw2 = lambda l: float(net.P[f"blocks.{l - 1}.mlp.down.weight"].grad.norm())
    return [*(float(stream(l).detach().var(-1, correction=0).mean()) for l in (1, L // 2, L)),
            gw2(1), gw2(L), float(stream(1).grad.norm()), float(stream(L).grad.norm()), cosine(stream(L).detach())]


def spread(values):
    a = np.array(values)
    return dict(mean=float(f"{a.mean():.6g}"), sd=float(f"{a.std(ddof=1):.3g}"))


def row(scheme, name, L, seeds, reference):
    placement, model, strategy = ROWS[name]
    j = job(scheme, placement, L, model, **strategy(L))
    values = np.array([measure_one(j, scheme, s) for s in range(seeds)])
    columns = {}
    for i, c in enumerate(COLUMNS):
        if L == 24 or c == "gw2_last":
            columns[c] = dict(table=reference[i] if L == 24 else reference) | spread(values[:, i])
    return dict(init=scheme, strategy=name, depth=L, job=j, columns=columns)


def report(r):
    print(f"{r['init']:6s} L={r['depth']:2d} {r['strategy']}")
    for c, v in r["columns"].items():
        off = (v["mean"] - v["table"]) / v["table"] if v["table"] else v["mean"]
        error = v["sd"] * math.sqrt(1 / 2 + 1 / r["seeds"]) if "seeds" in r else v["sd"]
        z = (v["mean"] - v["table"]) / error if error else 0.0
        mark = "  <<<" if abs(z) > 4 and abs(off) > 0.02 else ""
        print(f"    {c:11s} table {v['table']:<10.4g} mean {v['mean']:<10.4g} sd {v['sd']:<9.2g} "
              f"off {100 * off:6.1f} %  z {z:5.1f}{mark}", flush=True)


def main():
    seeds = int(sys.argv[1]) if len(sys.argv) > 1 else 4
    only = sys.argv[2:]
    rows = []
    for scheme, name, L, reference in todo():
        if only and name not in only:
            continue
        rows.append(row(scheme, name, L, seeds, reference))
        report(dict(rows[-1], seeds=seeds))
    if only:
        return
    OUT.parent.mkdir(exist_ok=True)
    provenance = dict(script="tests/oracle/reproduce_table.py", torch=torch.__version__, dtype="float64",
                      device="cpu", seeds=seeds, table_seeds=2)
    lines = ",\n".join(json.dumps(r, separators=(",", ":")) for r in rows)
    OUT.write_text(f'{{"provenance":{json.dumps(provenance)},\n"rows":[\n{lines}\n]}}\n')


def todo():
    for name, (columns, by_depth) in XAVIER.items():
        for L, last in zip(DEPTHS, by_depth):
            yield "xavier", name, L, columns if L == 24 else last
    for name, columns in GPT2.items():
        yield "gpt2", name, 24, columns


if __name__ == "__main__":
    main()

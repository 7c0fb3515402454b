#!/usr/bin/env python3
"""Writes tests/golden/proxy/*.json: the training-free proxies of group "proxy", from their definitions, in
PyTorch float64 on the networks of oracle.py. Read by tests/server/network/test_proxy.c.

    provenance    who computed it
    job           the job, as POSTed
    measurements  [layer, {"metric": value or "REASON", ...}], layer -1 the network as a whole

"The matrices" are those of the blocks. Gradients come from autograd, H g of GraSP from a second backward pass,
singular values from torch.linalg, eigenvalues from numpy.
"""
import copy
import json
import math
import pathlib
import sys

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import cases  # noqa: E402
import fields  # noqa: E402
import oracle  # noqa: E402
import pattern  # noqa: E402

OUT = pathlib.Path(__file__).parent.parent / "golden" / "proxy"
PROVENANCE = dict(script="tests/oracle/proxies.py", torch=torch.__version__, numpy=np.__version__,
                  dtype="float64", device="cpu")
K = 1e-5
GAMMA = 0.01


class Network(oracle.Network):
    """Remembers what its linear maps gave, what its activations saw and what its norms were given."""

    def forward(self, *args):
        self.linears, self.hidden, self.normed = {}, [], []
        return super().forward(*args)

    def linear(self, name, out, x, bias):
        y = super().linear(name, out, x, bias)
        if y.requires_grad:
            y.retain_grad()
        self.linears[self.prefix + name] = y
        return y

    def norm(self, slot, x, kind=None):
        kind = kind or self.at["norm"]
        y = super().norm(slot, x, kind)
        if kind != "none" and slot not in ("attn.q_norm", "attn.k_norm"):
            self.normed.append((kind, x, y, self.at["eps"]))
        return y

    def layer_of(self, name):
        return int(name.split(".")[1]) + 1

    def matrices(self, prefix=""):
        return {n: w for n, w in self.P.items()
                if n.startswith("blocks.") and w.dim() == 2 and n.split(".", 2)[2].startswith(prefix)}


# ------------------------------------------------------------------------------------- functionals

def covariance(rows, zero_is_null):
    """S, S per row, nulls of the correlation of the rows."""
    rows = rows - rows.mean(1, keepdims=True)
    length = np.sqrt((rows * rows).sum(1))
    if not zero_is_null and (length < 1e-13).any():
        return "ZERO", "ZERO", "ZERO"
    unit = np.where(length[:, None] < 1e-13, 0, rows / np.where(length < 1e-13, 1, length)[:, None])
    v = np.clip(np.linalg.eigvalsh(unit @ unit.T), 0, None)
    S = -float(np.sum(np.log(v + K) + 1 / (v + K)))
    return S, S / len(v), float((v < K).sum())


def cosine(rows):
    n = len(rows)
    unit = rows / np.sqrt((rows * rows).sum(1, keepdims=True))
    c = np.abs(unit @ unit.T) ** (1 / 20)
    return 1 - (c.sum() - np.trace(c)) / (2 * (n * n - n))


def by_layer(net, values, counts=None):
    """{layer: (sum, count)} of {name: value}."""
    out = {l: [0.0, 0] for l in range(1, net.job["depth"] + 1)}
    for name, v in values.items():
        out[net.layer_of(name)][0] += float(v)
        out[net.layer_of(name)][1] += counts or 1
    return out


class Table(dict):
    """{layer: {metric: value}}."""

    def put(self, layer, metric, value):
        self.setdefault(layer, {})[metric] = value

    def sums(self, metric, layers, log=True):
        layers = dict(layers)
        layers[-1] = [sum(s for s, _ in layers.values()), sum(n for _, n in layers.values())]
        for l, (s, n) in layers.items():
            self.put(l, metric, s)
            self.put(l, metric + "_per_tensor", s / n)
            if log:
                self.put(l, metric + "_log10", math.log10(s) if s else "ZERO")

    def covariance(self, layer, metric, values):
        for suffix, v in zip(("", "_per_row", "_nulls"), values):
            self.put(layer, metric + suffix, v)


def grads(net, loss):
    for w in net.P.values():
        w.grad = None
    loss.backward()
    return {n: w.grad if w.grad is not None else torch.zeros_like(w) for n, w in net.P.items()}


def prepared(job, start=pattern.parameter):
    net, data = Network(job, start), oracle.Data(job)
    net.prepare(data)
    return net, data


def saliency(net, g, prefix=""):
    return by_layer(net, {n: (w.detach() * g[n]).abs().sum() for n, w in net.matrices(prefix).items()})


# ------------------------------------------------------------------------------------- families

def proxies_of_sum(job, t):
    """Loss: the sum of the vocabulary logits; nothing is masked."""
    job = copy.deepcopy(job)
    job["train"]["loss"] = "cross_entropy"
    net, data = prepared(job)
    L, m = job["depth"], net.m
    gaussian = job["data"]["source"] == "gaussian"
    _, logits = net.forward(data.tokens[0][:, :-1], data.inputs[0] if gaussian else None)
    g = grads(net, logits.sum())
    acts = {k: x.detach().numpy() for k, x in net.sites.items()}

    for metric, rows, null in (
            ("hidden_cov", lambda x: x.reshape(len(x), -1), False),
            ("hidden_cov_unit", lambda x: x.reshape(-1, x.shape[-1]).T, True)):
        each = [covariance(rows(acts[l, "resid_out"]), null) for l in range(1, L + 1)]
        for l, values in enumerate(each, 1):
            t.covariance(l, metric, values)
        undefined = [v for v in each if isinstance(v[0], str)]
        t.covariance(-1, metric, undefined[-1] if undefined else np.mean(each, axis=0).tolist())
    # A final norm that takes the mean over the batch leaves nothing of the sum.
    flat = net.s["norm"] == "batchnorm"
    slope = net.sites[0, "embed"].grad.numpy()
    slope = slope.reshape(len(slope), -1)
    assert (np.abs(slope).max() < 1e-12) == flat
    t.covariance(-1, "jacob_cov", ["ZERO"] * 3 if flat else covariance(slope, False))
    t.put(-1, "jacob_cosine", "ZERO" if flat else float(cosine(slope)))

    total = 0
    for l in range(1, L + 1):
        pre = acts[l, "mlp_pre"]
        pre = pre[..., :m["d_ff"]]  # the gate half, where there are two
        c = (pre > 0).reshape(len(pre), -1).astype(float)
        kernel = c @ c.T + (1 - c) @ (1 - c).T
        total = total + kernel
        t.put(l, "naswot", float(np.linalg.slogdet(kernel)[1]))
        t.put(l, "activation_distance", float(kernel.sum()))
    t.put(-1, "naswot", float(np.linalg.slogdet(total)[1]))
    t.put(-1, "activation_distance", float(total.sum()))

    nuclear = lambda w: torch.linalg.svdvals(w.detach()).sum()
    for metric, layers in (
            ("synaptic_saliency", saliency(net, g, "mlp.")), ("head_importance", saliency(net, g, "attn.")),
            ("synaptic_diversity", by_layer(
                net, {n: nuclear(w) * nuclear(g[n]) for n, w in net.matrices("attn.").items()}))):
        if flat:
            for suffix in ("", "_per_tensor", "_log10"):
                t.put(-1, metric + suffix, "ZERO")
        else:
            t.sums(metric, layers)
    t.sums("head_confidence", by_layer(
        net, {n: y.detach().max(1).values.mean() for n, y in net.linears.items()
              if n.endswith(("attn.q", "attn.k", "attn.v"))}), log=False)
    t.sums("softmax_confidence", {l: [float(acts[l, "attn_prob"].max(-1).mean()), 1]
                                  for l in range(1, L + 1)}, log=False)


def proxies_of_loss(job, t):
    net, data = prepared(job)
    L, H = job["depth"], net.m["n_heads"]
    g = grads(net, data.loss(net, 0))
    t.sums("grad_norm_sum", by_layer(net, {n: g[n].norm() for n in net.matrices()}))
    t.sums("snip", saliency(net, g))
    t.sums("fisher", by_layer(net, {
        n: ((y.detach() * y.grad).sum(1) ** 2).mean(0).sum() / 2 for n, y in net.linears.items()}))
    heads = {}
    for l in range(1, L + 1):
        A = net.sites[l, "attn_head_out"]
        one = (A.detach() * A.grad).reshape(*A.shape[:2], H, -1).sum((1, 3))
        heads[l] = [float(one.abs().mean(0).sum()), H]
    t.sums("head_importance_output", heads)

    matrices = net.matrices()
    first = torch.autograd.grad(data.loss(net, 0), list(matrices.values()), create_graph=True, allow_unused=True)
    inner = sum((d * d.detach()).sum() for d in first if d is not None)
    Hg = torch.autograd.grad(inner, list(matrices.values()), allow_unused=True)
    t.sums("grasp", by_layer(net, {
        n: 0.0 if h is None else -(w.detach() * h).sum() for (n, w), h in zip(matrices.items(), Hg)}), log=False)


def without_head(job, **strategy):
    job = copy.deepcopy(fields.resolve(job))
    job["train"]["loss"] = "grad_iid"
    job["data"]["source"] = "gaussian"
    job["strategy"].update(strategy)
    return job


def proxy_synflow(job, t):
    job = without_head(job, norm="none", embed_norm=False, final_norm=False, overrides=[])
    job["model"].update(qk_norm=False, v_norm=False, activation="relu", window=0)
    net = Network(job, lambda n, s: np.abs(pattern.parameter(n, s)))
    x, _ = net.forward(None, torch.ones(1, 1, job["model"]["d_model"]))
    net.P  # parameters appear in the pass
    g = grads(net, x.sum())
    t.sums("synflow", saliency(net, g))


def zen_sigma(kind, x, y, eps):
    """What the norm divided by."""
    if kind == "batchnorm":
        return math.sqrt(float(x.reshape(-1, x.shape[-1]).var(0, correction=0).mean()))
    if kind == "layernorm":
        return float(torch.sqrt(x.var(-1, correction=0) + eps).mean())
    if kind == "rmsnorm":
        return float(torch.sqrt((x * x).mean(-1) + eps).mean())
    return float(torch.sqrt((x * x).mean(-1) / (y * y).mean(-1)).mean())


def proxy_zen(job, t):
    job = without_head(job)
    net = Network(job)
    B, T, D = job["data"]["batch"], job["data"]["seq_len"], job["model"]["d_model"]
    x, other = torch.from_numpy(pattern.inputs(2, B, T, D))
    with torch.no_grad():
        a, _ = net.forward(None, x)
        score = sum(math.log(zen_sigma(*n)) for n in net.normed)
        b, _ = net.forward(None, x + GAMMA * other)
    t.put(-1, "zen", score + math.log(float((a - b).abs().sum((1, 2)).mean())))
    t.put(-1, "zen_std", 0.0)


# ------------------------------------------------------------------------------------- cases

def case(name, **changes):
    base = dict(measure__steps=[0], measure__metrics=["proxy"], measure__sites=["run"], train__steps=0,
                data__batch=4, data__seq_len=5, model__d_ff=20, model__vocab=13)
    return cases.case("proxy-" + name, **(base | changes))


def all_cases():
    rms = dict(strategy__norm="rmsnorm", strategy__eps=1e-6)
    return [
        case("pre-ln", depth=3),
        case("post-ln-relu", strategy__placement="post_ln", model__activation="relu", model__bias=True),
        case("peri-swiglu", strategy__placement="peri_ln", model__activation="swiglu", model__position="rope",
             model__n_heads=4, model__d_model=16, model__n_kv_heads=2, model__qk_norm=True, **rms),
        case("masked", model__mask="bidirectional", model__tied=False, strategy__placement="post_ln",
             strategy__embed_norm=True),
        case("gaussian", data__source="gaussian", model__position="none", data__batch=6,
             strategy__placement="none", strategy__norm="none", model__activation="relu"),
        case("grad-iid", train__loss="grad_iid", model__position="sinusoidal", **rms),
        case("deepnorm", strategy__placement="deepnorm", depth=4, model__activation="gelu_tanh"),
        case("chain", strategy__placement="value_skipinit", strategy__norm="none", model__activation="relu", depth=3),
        case("parallel-batchnorm", strategy__norm="batchnorm", model__parallel=True),
        case("scalenorm", strategy__norm="scalenorm", strategy__embed_norm=True),
        case("scaled", strategy__residual_scale=0.5, strategy__branch_gain="channel",
             strategy__residual_rule="inv_sqrt_depth", model__window=2, model__global_every=2, **rms),
    ]


def golden(job):
    t = Table()
    for family in (proxies_of_sum, proxies_of_loss, proxy_synflow, proxy_zen):
        family(job, t)
    net, _ = prepared(job)
    t.put(-1, "param_count", float(sum(w.numel() for w in net.P.values())))
    return dict(provenance=PROVENANCE, job=job, measurements=[[l, v] for l, v in sorted(t.items())])


def main():
    from make_goldens import dump
    OUT.mkdir(exist_ok=True, parents=True)
    for old in OUT.glob("*.json"):
        old.unlink()
    for job in all_cases():
        text = dump(golden(job))
        (OUT / f"{job['name']}.json").write_text(text)
        print(f"{len(text):7d} {job['name']}")


if __name__ == "__main__":
    main()

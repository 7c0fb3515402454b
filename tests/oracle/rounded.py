#!/usr/bin/env python3
"""Runs in a narrower number format, on top of the oracle: writes the goldens rounded-*.json, of make_goldens.py's
layout. `rounded.py` alone writes these.

Where the engine rounds is part of its definition (core/graph/rounding.h), so a tape of ops says it once more. An op is a
function of PyTorch in float64 that knows nothing of rounding:

    forward     y = R_a(f(inputs, weights)), weights R_w(w) where they are matrices
    backward    from the last op to the first, with the complete gradient dy of the op's output:
                dy = 0 where f was beyond what a format that saturates holds; then for each input in turn
                d_input = R_g(d_input so far + f'(dy)), and so for matrices

q, k and v come of one product, as do gate and up. Not rounded: vectors and their gradients, what is inside an op
(statistics of norms, attention logits and probabilities, sums), the loss. A sum hands dy on as it is. Gradients
carry the loss scale until they are reported.
"""
import math
import sys

import numpy as np
import torch

import attention
import cases
import fields
import measure
import measure_more
import norms
import oracle

# bits of mantissa, least exponent, largest, saturates
FORMATS = {"fp16": (10, -14, 65504.0, False), "bf16": (7, -126, (2 - 2.0**-7) * 2.0**127, False),
           "fp8_e4m3": (3, -6, 448.0, True), "fp8_e5m2": (2, -14, 57344.0, False)}


def nearest(x, form):
    """To the nearest multiple of 2^(e - M), e = max(floor(log2 |x|), e_min); halves to even."""
    M, e_min, largest, saturates = FORMATS[form]
    x = x.numpy()
    exponent = np.maximum(np.frexp(x)[1] - 1, e_min)
    q = np.ldexp(np.rint(np.ldexp(x, M - exponent)), exponent - M)
    over = np.abs(q) > largest
    return torch.from_numpy(np.where(over, np.copysign(largest if saturates else np.inf, x), q))


def integer(x, shared):
    """int8: s = max |x| / 127 over the axes that share a scale."""
    s = x.abs().amax(shared, keepdim=True) / 127
    return torch.where(s > 0, s * torch.clamp(torch.round(x / torch.where(s > 0, s, 1.0)), -127, 127), x)


class Value:
    """What an op made."""

    def __init__(self, x, cut=None, part_of=None):
        self.x, self.cut, self.part_of, self.grad = x, cut, part_of, None

    def gradient(self):
        if self.part_of:
            whole, columns = self.part_of
            return whole.grad[..., columns]
        return self.grad if self.grad is not None else torch.zeros_like(self.x)


class Tape:
    def __init__(self, rounding, params):
        self.how, self.P, self.ops, self.inner = rounding, params, [], {}
        self.param_grads = {}

    def round(self, what, x):
        """x [B, T, D] one scale a sequence, or [rows, cols] one scale; or one a row."""
        form = self.how[what]
        if form == "none":
            return x
        if form == "int8":
            return integer(x, (-1,) if self.how["scale"] == "row" else (-2, -1))
        return nearest(x, form)

    def read(self, name):
        w = self.P[name].detach()
        return self.round("weights", w) if w.dim() == 2 else w

    def op(self, f, *inputs, weights=(), shares=False, rounds=True):
        """f(*inputs, *weights) -> y, or (y, {site: tensor inside})."""
        with torch.enable_grad():
            xs = [v.x.clone().requires_grad_(True) for v in inputs]
            ws = [self.read(n).clone().requires_grad_(True) for n in weights]
            y = f(*xs, *ws)
            y, inside = y if isinstance(y, tuple) else (y, {})
        saturates = FORMATS.get(self.how["activations"], [False])[-1] and rounds
        cut = y.detach().abs() > FORMATS[self.how["activations"]][2] if saturates else None
        out = Value(self.round("activations", y.detach()) if rounds else y.detach(), cut)
        self.ops.append((out, y, inputs, xs, weights, ws, shares, inside))
        return out

    def view(self, whole, first, width):
        columns = slice(first, first + width)
        out = Value(whole.x[..., columns], part_of=(whole, columns))
        self.ops.append((out, None, [whole], [], (), [], False, {}))
        return out

    def backward(self, last, seed):
        last.grad = seed
        for out, y, inputs, xs, weights, ws, shares, inside in reversed(self.ops):
            if y is None:  # a view: its gradient is a part of the whole one
                whole, columns = out.part_of
                if whole.grad is None:
                    whole.grad = torch.zeros_like(whole.x)
                whole.grad[..., columns] = out.grad
                continue
            if out.cut is not None:
                out.grad = torch.where(out.cut, 0.0, out.grad)
            grads = torch.autograd.grad(y, xs + ws + list(inside.values()), out.grad, allow_unused=True)
            for v, g in zip(inputs, grads):
                if v.grad is None:
                    v.grad = g if shares else self.round("gradients", g)
                else:
                    v.grad = self.round("gradients", v.grad + g)
            for name, g in zip(weights, grads[len(xs):]):
                g = g + self.param_grads.get(name, 0.0)
                self.param_grads[name] = self.round("gradients", g) if g.dim() == 2 else g
            for site, g in zip(inside, grads[len(xs) + len(ws):]):
                self.inner[site] = (inside[site].detach(), g)


class Network(oracle.Network):
    def linear(self, x, names, widths, bias):
        weights = [f"{self.prefix}{n}.weight" for n in names]
        for n, w in zip(weights, widths):
            self.param(n, w, x.x.shape[-1])
        biases = [f"{self.prefix}{n}.bias" for n in names] if bias else []
        for n, w in zip(biases, widths):
            self.param(n, w)

        def f(x, *p):
            y = x @ torch.cat(p[:len(weights)]).T
            return y + torch.cat(p[len(weights):]) if bias else y

        return self.tape.op(f, x, weights=weights + biases)

    def norm(self, slot, x):
        s, kind, name = self.at, self.at["norm"], self.prefix + slot
        if kind == "none":
            return x
        shapes = norms.parameters(kind, x.x.shape[-1], s["affine"])
        for short, n in shapes.items():
            self.param(f"{name}.{short}", n)
        f = lambda x, *p: norms.apply(kind, x, dict(zip(shapes, p)), s["eps"])
        return self.tape.op(f, x, weights=[f"{name}.{short}" for short in shapes])

    def tap(self, site, v, layer=None):
        self.tapped[self.layer if layer is None else layer, site] = v
        return v

    def attend(self, q, k, v):
        H, kv, dh = self.m["n_heads"], self.m["n_kv_heads"], self.m["head_dim"]
        layer = self.layer

        def f(q, k, v):
            B, T = q.shape[:2]
            head = lambda x, n: x.reshape(B, T, n, dh).transpose(1, 2)
            q, k, v = head(q, H), head(k, kv), head(v, kv)
            k, v = k.repeat_interleave(H // kv, 1), v.repeat_interleave(H // kv, 1)
            z = q @ k.transpose(2, 3) / math.sqrt(dh)
            hidden = torch.from_numpy(~measure.visible(self.job, layer, T))
            P = torch.softmax(z.masked_fill(hidden, -math.inf), -1)
            y = (P @ v).transpose(1, 2).reshape(B, T, H * dh)
            return y, {(layer, "logits"): z, (layer, "attn_prob"): P}

        return self.tape.op(f, q, k, v)

    def A(self, x):
        m, tape = self.m, self.tape
        H, kv, dh = m["n_heads"], m["n_kv_heads"], m["head_dim"]
        whole = self.linear(x, ["attn.q", "attn.k", "attn.v"], [H * dh, kv * dh, kv * dh], m["qkv_bias"])
        q, k = tape.view(whole, 0, H * dh), tape.view(whole, H * dh, kv * dh)
        v = self.tap("v", tape.view(whole, (H + kv) * dh, kv * dh))
        if m["position"] == "rope":
            turn = lambda n: lambda x: attention.rotate(x.unflatten(-1, (n, dh)), m["rope_base"], 1.0).flatten(-2)
            q, k = tape.op(turn(H), q), tape.op(turn(kv), k)
        y = self.tap("attn_head_out", self.attend(self.tap("q", q), self.tap("k", k), v))
        return self.tap("attn_raw", self.linear(y, ["attn.o"], [self.width], m["attn_out_bias"]))

    def M(self, x):
        act, ff, bias = self.m["activation"], self.m["d_ff"], self.m["mlp_bias"]
        names = ["mlp.gate", "mlp.up"] if self.gated else ["mlp.up"]
        h = self.tap("mlp_pre", self.linear(x, names, [ff] * len(names), bias))
        if self.gated:
            f = lambda h: oracle.ACTIVATIONS[oracle.GATES[act]](h[..., :ff]) * h[..., ff:]
        else:
            f = oracle.ACTIVATIONS[act]
        h = self.tap("mlp_act", self.tape.op(f, h))
        return self.tap("mlp_raw", self.linear(h, ["mlp.down"], [self.width], bias))

    def sum(self, which, x, y):
        return self.tape.op(torch.add, x, self.tap(which + "_branch", y), shares=True)

    def block(self, x):
        """pre_ln, peri_ln or post_ln."""
        place = self.s["placement"]
        for which, f in (("attn", self.A), ("mlp", self.M)):
            y = f(x if place == "post_ln" else self.N(which + ".norm_in", x))
            y = self.norm(which + ".norm_out", y) if place == "peri_ln" else y
            x = self.sum(which, x, y)
            x = self.norm(which + ".norm_post", x) if place == "post_ln" else x
            if which == "attn":
                self.tap("resid_mid", x)
        return x

    def embed(self, tokens):
        m, weights = self.m, ["embed.weight"]
        self.param("embed.weight", m["vocab"], self.width)
        if m["position"] == "learned":
            weights.append("pos.weight")
            self.param("pos.weight", tokens.shape[1], self.width)
        f = lambda E, P=0.0: m["embed_scale"] * E[tokens] + P
        return self.tape.op(f, weights=weights)

    def forward(self, tokens, inputs=None):
        L = self.job["depth"]
        self.tape, self.tapped = Tape(self.job["rounding"], self.P), {}
        self.begin(0)
        x = self.tap("embed", self.embed(tokens))
        for layer in range(1, L + 1):
            self.begin(layer)
            x = self.tap("resid_out", self.block(self.tap("resid_in", x)))
        self.begin(L + 1)
        if self.s["final_norm"]:
            x = self.norm("final_norm", x)
        self.tap("final_norm", x)
        name = oracle.head_name(self.job)
        self.param(name, self.m["vocab"], self.width)
        logits = self.tap("lm_logits", self.tape.op(lambda x, W: x @ W.T, x, weights=[name]))
        self.sites = {key: v.x for key, v in self.tapped.items()}
        return None, logits


class Loss:
    """What oracle.gradients asks for: backward() leaves gradients at the parameters and the sites."""

    def __init__(self, net, logits, target, mask):
        def f(logits):
            nll = torch.logsumexp(logits, -1) - logits.gather(-1, target[..., None])[..., 0]
            return (nll if mask is None else nll[mask]).mean()

        self.net = net
        self.last = net.tape.op(f, logits, rounds=False)

    def detach(self):
        return self.last.x

    def backward(self):
        net, scale = self.net, self.net.job["rounding"]["loss_scale"]
        net.tape.backward(self.last, torch.tensor(scale))
        for name, g in net.tape.param_grads.items():
            net.P[name].grad = g / scale
        for key, v in net.tapped.items():
            net.sites[key] = v.x.clone()
            net.sites[key].grad = v.gradient() / scale
        for key, (x, g) in net.tape.inner.items():
            net.sites[key] = x.clone()
            net.sites[key].grad = g / scale


class Data(oracle.Data):
    def loss(self, net, step):
        batch = step % self.job["data"]["batches"]
        tokens, mask = self.tokens[batch], self.mask[batch]
        read, target = tokens[:, :-1], tokens[:, 1:]
        encoder = self.job["model"]["mask"] == "bidirectional"
        if encoder:
            target, read = read, torch.where(mask, oracle.MASK_TOKEN, read)
        _, logits = net.forward(read)
        return Loss(net, logits, target, mask if encoder else None)


def run(job):
    job = fields.resolve(job)
    how = job["rounding"]
    form = how.get("format", "none")
    job["rounding"] = dict(activations=form, gradients=form, weights="none", scale="tensor", loss_scale=1.0) | how
    kept = oracle.Network, oracle.Data
    oracle.Network, oracle.Data = Network, Data
    try:
        return oracle.run(job)
    finally:
        oracle.Network, oracle.Data = kept


METRICS = "rms max_abs grad_rms grad_norm grad_max_abs cos_mean param_grad_norm param_update_ratio loss".split()


def case(name, rounding, **changes):
    changes = dict(measure__metrics=METRICS, measure__steps=[0, 2], train__steps=2, model__d_ff=16, model__vocab=11,
                   data__seq_len=7, model__bias=True) | changes
    return cases.case("rounded-" + name, **changes) | dict(rounding=rounding)


def all_cases():
    gated = dict(model__position="rope", model__activation="swiglu", model__tied=False, strategy__norm="rmsnorm",
                 model__bias=False, model__n_heads=3, model__n_kv_heads=1)
    near = dict(measure__metrics=METRICS + measure_more.GROUPS["parameter"])
    return [
        case("fp16", dict(format="fp16"), **near),
        case("fp16-gated", dict(format="fp16", weights="fp16", loss_scale=1024.0), **gated | near),
        case("bf16", dict(format="bf16"), strategy__placement="post_ln", model__mask="bidirectional"),
        case("bf16-weights", dict(format="bf16", weights="bf16"), strategy__placement="peri_ln", **gated),
        case("fp8-e4m3", dict(format="fp8_e4m3", loss_scale=256.0), strategy__placement="peri_ln"),
        # the stream and some of what comes of it are cut off
        case("fp8-e4m3-cut", dict(format="fp8_e4m3", loss_scale=65536.0), model__embed_scale=1500.0),
        case("fp8-e5m2", dict(format="fp8_e5m2", loss_scale=4096.0), strategy__placement="post_ln"),
        # as trained: forward and weights E4M3, gradients E5M2
        case("fp8-mixed", dict(activations="fp8_e4m3", weights="fp8_e4m3", gradients="fp8_e5m2", loss_scale=4096.0),
             **gated),
        case("int8", dict(format="int8"), strategy__placement="peri_ln"),
        case("int8-row", dict(format="int8", weights="int8", scale="row"), **gated),
        case("gradients-only", dict(gradients="fp16"), train__optimizer="sgd", train__lr=0.1, train__clip=None),
    ]


def main():
    import make_goldens
    for job in all_cases():
        path = make_goldens.OUT / f"{job['name']}.json"
        path.write_text(make_goldens.dump(make_goldens.golden(job, run)))
        print(f"{path.stat().st_size:7d} {job['name']}")


if __name__ == "__main__":
    sys.exit(main())

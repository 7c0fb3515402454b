"""Independent oracle: the transformer family of Normscope in PyTorch float64, written from the
definitions and for clarity alone. It shares no code with the engine and is never run by it.

A case is a job in the server's own JSON (cases.py makes them; fields.py fills what they leave out).
run(job) computes the losses, every site value and gradient, every parameter gradient and the parameters
after the last update, and through measure.py every metric.

    norms.py         norms of one row
    batch_norms.py   norms with statistics over the batch
    attention.py     attention and its variants
    placements.py    one function per block

Gaussian inputs stand in for the embedding: no tables, so the output matrix is lm_head.weight also when tied.
The synthetic losses end at the final norm: no output matrix of its own, no lm_logits.
"""
import math

import numpy as np
import torch

import attention
import batch_norms
import extras
import fields
import measure
import measure_more
import mixing
import norms
import pattern
from placements import PLACEMENTS, admin_profile

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

MASK_TOKEN = 0

ACTIVATIONS = {
    "relu": torch.relu,
    "gelu": lambda z: 0.5 * z * (1 + torch.erf(z / math.sqrt(2))),
    "identity": lambda z: z,
    "tanh": torch.tanh,
    "selu": torch.nn.functional.selu,
    "gelu_tanh": lambda z: 0.5 * z * (1 + torch.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))),
    "silu": lambda z: z * torch.sigmoid(z),
}
GATES = {"swiglu": "silu", "geglu": "gelu", "geglu_tanh": "gelu_tanh"}


def has_head(job):
    return job["train"]["loss"] == "cross_entropy"


def head_name(job):
    tied = job["model"]["tied"] and job["data"]["source"] != "gaussian"
    return "embed.weight" if tied else "lm_head.weight"


def sinusoid(T, d):
    table = np.zeros((T, d))
    for t in range(T):
        for c in range(d):
            angle = t / 10000.0 ** (2 * (c // 2) / d)
            table[t, c] = math.sin(angle) if c % 2 == 0 else math.cos(angle)
    return torch.from_numpy(table)


class Network:
    """Parameters come into being where they are first used: P is {name: tensor} after one pass.
    start(name, shape) gives their first values."""

    def __init__(self, job, start=pattern.parameter):
        self.job = job = fields.resolve(job)
        self.m, self.s, self.start = job["model"], job["strategy"], start
        self.place = PLACEMENTS[self.s["placement"]]
        self.width = self.m["d_model"] - (1 if self.place.narrow else 0)
        self.gated = self.m["activation"] in GATES
        self.P = {}
        self.sigma = {}           # of frozen norms, by name
        self.calibrating = False  # this pass measures them
        self.running = {}         # norms with running statistics, by name
        self.training = True      # they see the batch, and remember it

    # ------------------------------------------------------------------------- parts

    def param(self, name, *shape):
        if name not in self.P:
            self.P[name] = torch.as_tensor(self.start(name, shape)).clone().requires_grad_(True)
        assert self.P[name].shape == shape, name
        return self.P[name]

    def linear(self, name, out, x, bias):
        y = x @ self.param(f"{self.prefix}{name}.weight", out, x.shape[-1]).T
        return y + self.param(f"{self.prefix}{name}.bias", out) if bias else y

    def norm(self, slot, x, kind=None):
        s = self.at
        kind = kind or s["norm"]
        if kind == "none":
            return x
        name = self.prefix + slot
        if kind in batch_norms.KINDS:
            return self.batch_norm(name, kind, x)
        p = {short: self.param(f"{name}.{short}", n)
             for short, n in norms.parameters(kind, x.shape[-1], s["affine"]).items()}
        if s["sigma"] == "frozen" and self.calibrating:
            self.sigma[name] = norms.mean_root(kind, x, s["eps"], s["groups"], self.m["mask"] == "causal")
        frozen = s["sigma"] == "frozen" and not self.calibrating
        return norms.apply(kind, x, p, s["eps"], s["groups"], s["unit_offset"],
                           self.sigma[name] if frozen else None)

    def batch_norm(self, name, kind, x):
        s, n = self.at, x.shape[-1]
        if name not in self.running:
            self.running[name] = batch_norms.make(kind, s, n)
        site = self.running[name]
        p = {short: self.param(f"{name}.{short}", 1 if short == "eta" else n)
             for short in site.names if s["affine"] or short == "eta"}
        if s["unit_offset"]:
            p.update({short: 1 + p[short] for short in ("weight", "layer_weight") if short in p})
        return site(x, p, self.training)

    SITES = {"attn.norm_in": "norm1_out", "mlp.norm_in": "norm2_out"}

    def N(self, slot, x):
        y = self.norm(slot, x)
        return self.tap(self.SITES[slot], y) if slot in self.SITES else y

    def tap(self, site, x, layer=None):
        if x.requires_grad:
            x.retain_grad()
        self.sites[self.layer if layer is None else layer, site] = x
        return x

    def mid(self, x):
        return self.tap("resid_mid", x)

    # ------------------------------------------------------------------------- branches

    def A(self, x, values=None, **variant):
        y = attention.attention(self, x, **variant)
        y = values(y) if values else y
        return self.tap("attn_raw", self.linear("attn.o", self.width, y, self.m["attn_out_bias"]))

    def M(self, x, pre=None, hidden=None):
        layer = self.m["mlp"] == "layer"
        act, bias = self.m["activation"], self.m["mlp_bias"]
        ff = self.width if layer else self.m["d_ff"]
        pre = pre or (lambda h: h)
        up = self.linear("mlp.up", ff, x, bias)
        if self.gated:
            both = torch.cat([self.linear("mlp.gate", ff, x, bias), up], dim=-1)
            gate, up = self.tap("mlp_pre", pre(both)).chunk(2, dim=-1)
            h = ACTIVATIONS[GATES[act]](gate) * up
        else:
            h = ACTIVATIONS[act](self.tap("mlp_pre", pre(up)))
        h = self.tap("mlp_act", h)
        h = hidden(h) if hidden else h
        if layer:
            return h
        return self.tap("mlp_raw", self.linear("mlp.down", self.width, h, bias))

    def recentred(self, x):
        return x - x.mean(-1, keepdim=True) if self.s["recentre"] else x

    def add(self, which, y):
        """What a branch with output y adds to the stream."""
        s, L = self.at, self.job["depth"]
        gain = s["branch_gain"]
        if gain != "none":
            name = "branch_gain" if gain == "layer" else which + ".branch_gain"
            y = y * self.param(self.prefix + name, self.width if gain == "channel" else 1)
        scale = s["residual_scale"] * fields.depth_rule(s["residual_rule"], L, self.layer)
        if s["residual_scales"]:
            scale *= s["residual_scales"][self.layer - 1]
        y = self.recentred(y if scale == 1.0 else scale * y)
        return self.tap(which + "_branch", y)

    def gpas(self, x):
        if not self.s["gpas"]:
            return x
        g = self.param(self.prefix + "gpas_gate", 1)
        return x - g * torch.sigmoid(g) * x.detach()

    # ------------------------------------------------------------------------- the whole

    def begin(self, layer):
        blocks = 1 <= layer <= self.job["depth"]
        self.layer, self.prefix = layer, f"blocks.{layer - 1}." if blocks else ""
        self.at = fields.at_layer(self.job, layer)

    def token_embedding(self, tokens):
        m = self.m
        E = self.param("embed.weight", m["vocab"], self.width)
        if self.s["fixnorm"]:
            E = math.sqrt(m["d_model"]) * attention.unit(E)
        scale = self.param("embed_scale", 1) if m["embed_scale_learned"] else m["embed_scale"]
        return scale * E[tokens]

    def embed(self, tokens, inputs):
        if inputs is not None:
            x = inputs.clone().requires_grad_(True)
        else:
            x = self.token_embedding(tokens)
            if self.m["position"] == "learned":
                x = x + self.param("pos.weight", x.shape[1], self.width)
            if self.m["position"] == "sinusoidal":
                x = x + sinusoid(*x.shape[1:])
        return self.recentred(self.norm("embed_norm", x) if self.s["embed_norm"] else x)

    def head(self, x):
        m = self.m
        W = self.param(head_name(self.job), m["vocab"], self.width)
        if self.s["fixnorm"] and head_name(self.job) == "embed.weight":
            W = attention.unit(W)
        z = x @ W.T
        if self.place.logits:
            z = self.place.logits(self, z)
        cap = m["final_softcap"]
        return self.tap("lm_logits", z if cap is None else cap * torch.tanh(z / cap))

    def forward(self, tokens, inputs=None):
        self.sites = {}
        L = self.job["depth"]
        block = self.place.parallel if self.m["parallel"] else self.place.block
        if self.m["mixer"] == "none":
            block = self.place.mlp
        self.begin(0)
        x = self.tap("embed", self.embed(tokens, inputs))
        if self.place.begin:
            x = self.place.begin(self, x)
        for layer in range(1, L + 1):
            self.begin(layer)
            x = block(self, self.tap("resid_in", x))
            self.tap("resid_out", x)
        self.begin(L + 1)
        if self.place.end:
            x = self.place.end(self, x)
        if self.s["final_norm"]:
            x = self.norm("final_norm", x)
        x = self.tap("final_norm", x)
        return x, self.head(x) if has_head(self.job) else None

    def prepare(self, data, profiled=False):
        """What happens once, before the first pass that counts: parameters appear, weights are projected,
        constants of frozen norms are measured on the first batch with all norms live."""
        self.calibrating = True
        with torch.no_grad():
            data.loss(self, 0)
            self.project()
            data.loss(self, 0)
            if profiled:
                admin_profile(self, data.tokens[0][:, :-1])
        self.calibrating = False
        self.running = {}

    def project(self):
        if self.place.project:
            self.place.project(self)


class Data:
    """The batches of a case, from the shared pattern."""

    def __init__(self, job):
        self.job = job = fields.resolve(job)
        d, m = job["data"], job["model"]
        narrow = 1 if PLACEMENTS[job["strategy"]["placement"]].narrow else 0
        n, B, T, D = d["batches"], d["batch"], d["seq_len"], m["d_model"] - narrow
        self.tokens = torch.from_numpy(pattern.tokens(n, B, T, m["vocab"]))
        self.mask = torch.from_numpy(pattern.loss_mask(n, B, T))
        self.inputs = torch.from_numpy(pattern.inputs(n, B, T, D))
        self.seed = torch.from_numpy(
            np.array(pattern.grad_seed(B, T, D, job["train"]["loss"] == "grad_common")))

    def loss(self, net, step):
        job = self.job
        batch = step % job["data"]["batches"]
        tokens, mask = self.tokens[batch], self.mask[batch]
        read, target = tokens[:, :-1], tokens[:, 1:]
        if job["model"]["mask"] == "bidirectional":
            target = read
            if job["train"]["loss"] == "cross_entropy":
                read = torch.where(mask, MASK_TOKEN, read)
        gaussian = job["data"]["source"] == "gaussian"
        x, logits = net.forward(read, self.inputs[batch] if gaussian else None)
        if job["train"]["loss"] != "cross_entropy":
            return (self.seed * x).sum()
        nll = torch.logsumexp(logits, -1) - logits.gather(-1, target[..., None])[..., 0]
        if job["model"]["mask"] == "bidirectional":
            return nll[mask].mean()
        return nll.mean()


def learning_rate(train, k):
    """Of update k = 1..N."""
    N, lr, warmup = train["steps"], train["lr"], train["warmup"]
    if k <= warmup:
        return lr * k / warmup
    if train["schedule"] == "constant":
        return lr
    t = (k - warmup) / (N - warmup)
    return lr * (train["min_lr"] + (1 - train["min_lr"]) * (1 + math.cos(math.pi * t)) / 2)


class Optimizer:
    def __init__(self, train, P):
        self.train, self.P, self.k = train, P, 0
        self.first = {n: torch.zeros_like(w) for n, w in P.items()}
        self.second = {n: torch.zeros_like(w) for n, w in P.items()}

    def step(self, grads, grad_norm):
        t = self.train
        self.k += 1
        lr = learning_rate(t, self.k)
        clip = t["clip"]
        scale = clip / grad_norm if clip is not None and grad_norm > clip else 1.0
        with torch.no_grad():
            for name, w in self.P.items():
                decays = t["decay"] == "all" or w.dim() == 2
                update = self.sgd if t["optimizer"] == "sgd" else self.adamw
                update(name, w, scale * grads[name], lr, t["weight_decay"] if decays else 0.0)
        return lr

    def sgd(self, name, w, g, lr, decay):
        v = self.first[name]
        v.mul_(self.train["momentum"]).add_(g + decay * w)
        w.sub_(lr * v)

    def adamw(self, name, w, g, lr, decay):
        t, k = self.train, self.k
        m, v = self.first[name], self.second[name]
        m.mul_(t["beta1"]).add_((1 - t["beta1"]) * g)
        v.mul_(t["beta2"]).add_((1 - t["beta2"]) * g * g)
        mhat = m / (1 - t["beta1"] ** k)
        vhat = v / (1 - t["beta2"] ** k)
        w.mul_(1 - lr * decay)
        w.sub_(lr * mhat / (torch.sqrt(vhat) + t["eps"]))


def gradients(net, loss):
    """Parameter gradients by name, site gradients by key; zeros where the loss does not reach."""
    for w in net.P.values():
        w.grad = None
    loss.backward()
    zero = lambda x: x.grad if x.grad is not None else torch.zeros_like(x)
    return ({n: zero(w).clone() for n, w in net.P.items()},
            {key: zero(x) for key, x in net.sites.items()})


def probe(net, data, step):
    """Loss, site values and gradients of a pass; with measure.eval one that nothing remembers."""
    net.training = not net.job["measure"]["eval"]
    loss = data.loss(net, step)
    grads, site_grads = gradients(net, loss)
    net.training = True
    return (float(loss.detach()), {key: x.detach().numpy() for key, x in net.sites.items()},
            {key: g.numpy() for key, g in site_grads.items()}, grads)


def run(job, profiled=False):
    """Everything a golden records, as plain numpy and floats. profiled: omega of admin is what its profiling
    pass says, not a pattern."""
    net, data, train = Network(job), Data(job), job["train"]
    job = net.job
    net.prepare(data, profiled)
    optimizer = Optimizer(train, net.P)
    result = dict(steps=[], measurements={}, probes={})
    for step in range(train["steps"] + 1):
        probed, more = step in job["measure"]["steps"], step < train["steps"]
        seen = probe(net, data, step) if probed and job["measure"]["eval"] else None
        result["state"] = {f"{name}.{row}": np.array(value, dtype=float)
                           for name, site in net.running.items() for row, value in site.state().items()}
        more_measured = extras.probe(net, data, step) if probed else {}
        loss = data.loss(net, step)
        grads, site_grads = gradients(net, loss)
        grad_norm = math.sqrt(sum(float((g * g).sum()) for g in grads.values()))
        before = {n: w.detach().clone() for n, w in net.P.items()}
        lr = optimizer.step(grads, grad_norm) if more else 0.0
        loss = float(loss.detach())
        result["steps"].append((loss, lr, grad_norm))
        if probed:
            seen = seen or (loss, {key: x.detach().numpy() for key, x in net.sites.items()},
                            {key: g.numpy() for key, g in site_grads.items()}, grads)
            loss, acts, d_acts, grads = seen
            params = {n: (before[n].numpy(), grads[n].numpy(),
                          (w.detach() - before[n]).numpy() if more else None)
                      for n, w in net.P.items()}
            result["probes"][step] = (acts, d_acts, {n: g for n, (_, g, _) in params.items()})
            for key, value in measure.probe(job, acts, d_acts, params, loss).items():
                result["measurements"][(step,) + key] = value
            for key, value in (mixing.probe(job, acts) | more_measured).items():
                result["measurements"][(step,) + key] = value
        if more:
            net.project()  # after the update that param_update_ratio is about
    if train["steps"]:
        norms = [norm for _, _, norm in result["steps"]]
        if train["steps"] not in job["measure"]["steps"]:
            norms[-1] = None  # no update follows: the engine makes no backward pass
        for metric, value in measure_more.spikes(norms).items():
            if {metric, "spike"} & set(job["measure"]["metrics"]) and "run" in job["measure"]["sites"]:
                result["measurements"][train["steps"], -1, "run", metric, ""] = value
    result["final"] = {n: w.detach().numpy() for n, w in net.P.items()}
    return result

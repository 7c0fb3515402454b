"""Independent oracle: the transformer family of Normscope in PyTorch float64, written from the
definitions and for clarity alone. It shares no code with the engine and is never run by it.

A case is a job in the server's own JSON with every choice explicit (cases.py makes them). run(job)
computes the losses, every site value and gradient, every parameter gradient and the parameters after
the last update, and through measure.py every metric.

Placements, N = norm, A and M the branches, s = residual_scale:
    none      x + s A(x);             x + s M(x)
    post_ln   N(x + s A(x));          N(x + s M(x))
    pre_ln    x + s A(N(x));          x + s M(N(x))
    peri_ln   x + s N(A(N(x)));       x + s N(M(N(x)))
Parallel blocks: both branches read one value, attn.norm_in of x where there is an input norm; the sum
x + s A + s M is normed by attn.norm_post under post_ln; under peri_ln each branch has its own output norm;
resid_mid is the partial sum x + s A.
Gaussian inputs stand in for the embedding: no tables, so the output matrix is lm_head.weight also when tied.
The synthetic losses end at the final norm: no output matrix of its own, no lm_logits.
"""
import math

import numpy as np
import torch

import measure
import pattern

torch.set_default_dtype(torch.float64)
torch.set_num_threads(1)

IN_NORM = ("pre_ln", "peri_ln")
OUT_NORM = ("peri_ln",)
POST_NORM = ("post_ln",)
MASK_TOKEN = 0

ACTIVATIONS = {
    "relu": torch.relu,
    "gelu": lambda z: 0.5 * z * (1 + torch.erf(z / math.sqrt(2))),
    "gelu_tanh": lambda z: 0.5 * z * (1 + torch.tanh(math.sqrt(2 / math.pi) * (z + 0.044715 * z**3))),
    "silu": lambda z: z * torch.sigmoid(z),
}
GATES = {"swiglu": "silu", "geglu": "gelu"}


def parameter_shapes(job):
    """{full name: shape} in the documented order."""
    m, s, L = job["model"], job["strategy"], job["depth"]
    d, ff, heads, kv = m["d_model"], m["d_ff"], m["n_heads"], m["n_kv_heads"]
    dh = d // heads
    shapes = {}
    if job["data"]["source"] != "gaussian":
        shapes["embed.weight"] = (m["vocab"], d)
        if m["position"] == "learned":
            shapes["pos.weight"] = (job["data"]["seq_len"], d)

    def norm(name, width, kind=s["norm"]):
        if kind != "none" and s["affine"]:
            shapes[name + ".weight"] = (width,)
            if kind == "layernorm":
                shapes[name + ".bias"] = (width,)

    def linear(name, out, into):
        shapes[name + ".weight"] = (out, into)
        if m["bias"]:
            shapes[name + ".bias"] = (out,)

    if s["embed_norm"]:
        norm("embed_norm", d)
    for i in range(L):
        p = f"blocks.{i}."
        pl = s["placement"]
        if pl in IN_NORM:
            norm(p + "attn.norm_in", d)
        linear(p + "attn.q", d, d)
        linear(p + "attn.k", kv * dh, d)
        linear(p + "attn.v", kv * dh, d)
        if m["qk_norm"]:
            kind = qk_norm_type(job)
            norm(p + "attn.q_norm", dh, kind)
            norm(p + "attn.k_norm", dh, kind)
        linear(p + "attn.o", d, d)
        if pl in OUT_NORM:
            norm(p + "attn.norm_out", d)
        if pl in POST_NORM:
            norm(p + "attn.norm_post", d)
        if pl in IN_NORM and not m["parallel"]:
            norm(p + "mlp.norm_in", d)
        linear(p + "mlp.up", ff, d)
        if m["activation"] in GATES:
            linear(p + "mlp.gate", ff, d)
        linear(p + "mlp.down", d, ff)
        if pl in OUT_NORM:
            norm(p + "mlp.norm_out", d)
        if pl in POST_NORM and not m["parallel"]:
            norm(p + "mlp.norm_post", d)
    if s["final_norm"]:
        norm("final_norm", d)
    if has_head(job) and head_name(job) == "lm_head.weight":
        shapes["lm_head.weight"] = (m["vocab"], d)
    return shapes


def has_head(job):
    return job["train"]["loss"] == "cross_entropy"


def head_name(job):
    tied = job["model"]["tied"] and job["data"]["source"] != "gaussian"
    return "embed.weight" if tied else "lm_head.weight"


def qk_norm_type(job):
    kind = job["strategy"]["norm"]
    return "rmsnorm" if kind == "none" else kind


def sinusoid(T, d):
    table = np.zeros((T, d))
    for t in range(T):
        for c in range(d):
            angle = t / 10000.0 ** (2 * (c // 2) / d)
            table[t, c] = math.sin(angle) if c % 2 == 0 else math.cos(angle)
    return torch.from_numpy(table)


def rotate(x, base):
    """rope on [B, T, heads, dh]: components j and j + dh/2 turn by the angle t * base^(-2j/dh)."""
    T, dh = x.shape[1], x.shape[3]
    half = dh // 2
    t = torch.arange(T).double()[:, None]
    angle = t * torch.tensor([base ** (-2.0 * j / dh) for j in range(half)])
    cos, sin = torch.cos(angle)[None, :, None, :], torch.sin(angle)[None, :, None, :]
    a, b = x[..., :half], x[..., half:]
    return torch.cat([a * cos - b * sin, b * cos + a * sin], dim=-1)


class Model:
    def __init__(self, job):
        self.job = job
        self.m, self.s = job["model"], job["strategy"]
        self.P = {n: torch.from_numpy(pattern.parameter(n, shape)).requires_grad_(True)
                  for n, shape in parameter_shapes(job).items()}

    def norm(self, name, x, kind=None):
        kind = kind or self.s["norm"]
        if kind == "none":
            return x
        if kind == "layernorm":
            x = x - x.mean(-1, keepdim=True)
        y = x / torch.sqrt((x * x).mean(-1, keepdim=True) + self.s["eps"])
        if not self.s["affine"]:
            return y
        y = y * self.P[name + ".weight"]
        return y + self.P[name + ".bias"] if kind == "layernorm" else y

    def linear(self, name, x):
        y = x @ self.P[name + ".weight"].T
        return y + self.P[name + ".bias"] if self.m["bias"] else y

    def tap(self, layer, site, x):
        if x.requires_grad:
            x.retain_grad()
        self.sites[layer, site] = x
        return x

    def attention(self, layer, p, x):
        m = self.m
        B, T, d = x.shape
        heads, kv, dh = m["n_heads"], m["n_kv_heads"], d // m["n_heads"]
        q = self.linear(p + "q", x).reshape(B, T, heads, dh)
        k = self.linear(p + "k", x).reshape(B, T, kv, dh)
        v = self.tap(layer, "v", self.linear(p + "v", x)).reshape(B, T, kv, dh)
        if m["qk_norm"]:
            q = self.norm(p + "q_norm", q, qk_norm_type(self.job))
            k = self.norm(p + "k_norm", k, qk_norm_type(self.job))
        if m["position"] == "rope":
            q, k = rotate(q, m["rope_base"]), rotate(k, m["rope_base"])
        q = self.tap(layer, "q", q.reshape(B, T, heads * dh)).reshape(B, T, heads, dh)
        k = self.tap(layer, "k", k.reshape(B, T, kv * dh)).reshape(B, T, kv, dh)
        group = heads // kv
        k = torch.stack([k[:, :, h // group] for h in range(heads)], dim=1)
        v = torch.stack([v[:, :, h // group] for h in range(heads)], dim=1)
        logits = self.tap(layer, "logits", q.transpose(1, 2) @ k.transpose(2, 3) / math.sqrt(dh))
        hidden = torch.zeros(T, T, dtype=torch.bool)
        if m["mask"] == "causal":
            hidden = torch.triu(torch.ones(T, T, dtype=torch.bool), diagonal=1)
        prob = self.tap(layer, "attn_prob", torch.softmax(logits.masked_fill(hidden, -math.inf), -1))
        out = (prob @ v).transpose(1, 2).reshape(B, T, d)
        return self.linear(p + "o", self.tap(layer, "attn_head_out", out))

    def mlp(self, layer, p, x):
        act = self.m["activation"]
        up = self.linear(p + "up", x)
        if act in GATES:
            gate = self.linear(p + "gate", x)
            pre = self.tap(layer, "mlp_pre", torch.cat([gate, up], dim=-1))
            gate, up = pre.chunk(2, dim=-1)
            hidden = ACTIVATIONS[GATES[act]](gate) * up
        else:
            hidden = ACTIVATIONS[act](self.tap(layer, "mlp_pre", up))
        return self.linear(p + "down", self.tap(layer, "mlp_act", hidden))

    def branch(self, layer, kind, p, f, x):
        """A sublayer read from x (already normed): what it adds to the stream."""
        y = self.tap(layer, kind + "_raw", f(layer, p, x))
        if self.s["placement"] in OUT_NORM:
            y = self.norm(p + "norm_out", y)
        scale = self.s["residual_scale"]
        return self.tap(layer, kind + "_branch", y if scale == 1.0 else scale * y)

    def read(self, layer, site, name, x):
        if self.s["placement"] not in IN_NORM:
            return x
        return self.tap(layer, site, self.norm(name, x))

    def post(self, name, x):
        return self.norm(name, x) if self.s["placement"] in POST_NORM else x

    def block(self, layer, x):
        p = f"blocks.{layer - 1}."
        self.tap(layer, "resid_in", x)
        h = self.read(layer, "norm1_out", p + "attn.norm_in", x)
        a = self.branch(layer, "attn", p + "attn.", self.attention, h)
        if self.m["parallel"]:
            b = self.branch(layer, "mlp", p + "mlp.", self.mlp, h)
            x = self.post(p + "attn.norm_post", self.tap(layer, "resid_mid", x + a) + b)
        else:
            x = self.tap(layer, "resid_mid", self.post(p + "attn.norm_post", x + a))
            h = self.read(layer, "norm2_out", p + "mlp.norm_in", x)
            b = self.branch(layer, "mlp", p + "mlp.", self.mlp, h)
            x = self.post(p + "mlp.norm_post", x + b)
        return self.tap(layer, "resid_out", x)

    def embed(self, tokens, inputs):
        if inputs is not None:
            x = inputs.clone().requires_grad_(True)
        else:
            x = self.m["embed_scale"] * self.P["embed.weight"][tokens]
            if self.m["position"] == "learned":
                x = x + self.P["pos.weight"]
            if self.m["position"] == "sinusoidal":
                x = x + sinusoid(*x.shape[1:])
        return self.norm("embed_norm", x) if self.s["embed_norm"] else x

    def forward(self, tokens, inputs=None):
        self.sites = {}
        L = self.job["depth"]
        x = self.tap(0, "embed", self.embed(tokens, inputs))
        for layer in range(1, L + 1):
            x = self.block(layer, x)
        if self.s["final_norm"]:
            x = self.norm("final_norm", x)
        x = self.tap(L + 1, "final_norm", x)
        if not has_head(self.job):
            return x, None
        return x, self.tap(L + 1, "lm_logits", x @ self.P[head_name(self.job)].T)


class Data:
    """The batches of a case, from the shared pattern."""

    def __init__(self, job):
        self.job = job
        d, m = job["data"], job["model"]
        n, B, T, D = d["batches"], d["batch"], d["seq_len"], m["d_model"]
        self.tokens = torch.from_numpy(pattern.tokens(n, B, T, m["vocab"]))
        self.mask = torch.from_numpy(pattern.loss_mask(n, B, T))
        self.inputs = torch.from_numpy(pattern.inputs(n, B, T, D))
        self.seed = torch.from_numpy(
            np.array(pattern.grad_seed(B, T, D, job["train"]["loss"] == "grad_common")))

    def loss(self, model, step):
        job = self.job
        batch = step % job["data"]["batches"]
        tokens, mask = self.tokens[batch], self.mask[batch]
        read, target = tokens[:, :-1], tokens[:, 1:]
        if job["model"]["mask"] == "bidirectional":
            target = read
            if job["train"]["loss"] == "cross_entropy":
                read = torch.where(mask, MASK_TOKEN, read)
        gaussian = job["data"]["source"] == "gaussian"
        x, logits = model.forward(read, self.inputs[batch] if gaussian else None)
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


def gradients(model, loss):
    """Parameter gradients by name, site gradients by key; zeros where the loss does not reach."""
    for w in model.P.values():
        w.grad = None
    loss.backward()
    zero = lambda x: x.grad if x.grad is not None else torch.zeros_like(x)
    return ({n: zero(w).clone() for n, w in model.P.items()},
            {key: zero(x) for key, x in model.sites.items()})


def run(job):
    """Everything a golden records, as plain numpy and floats."""
    model, data, train = Model(job), Data(job), job["train"]
    optimizer = Optimizer(train, model.P)
    result = dict(steps=[], measurements={}, probes={})
    for step in range(train["steps"] + 1):
        loss = data.loss(model, step)
        grads, site_grads = gradients(model, loss)
        grad_norm = math.sqrt(sum(float((g * g).sum()) for g in grads.values()))
        before = {n: w.detach().clone() for n, w in model.P.items()}
        more = step < train["steps"]
        lr = optimizer.step(grads, grad_norm) if more else 0.0
        loss = float(loss.detach())
        result["steps"].append((loss, lr, grad_norm))
        if step in job["measure"]["steps"]:
            acts = {key: x.detach().numpy() for key, x in model.sites.items()}
            d_acts = {key: g.numpy() for key, g in site_grads.items()}
            params = {n: (before[n].numpy(), grads[n].numpy(),
                          (w.detach() - before[n]).numpy() if more else None)
                      for n, w in model.P.items()}
            result["probes"][step] = (acts, d_acts, {n: g for n, (_, g, _) in params.items()})
            for key, value in measure.probe(job, acts, d_acts, params, loss).items():
                result["measurements"][(step,) + key] = value
    result["final"] = {n: w.detach().numpy() for n, w in model.P.items()}
    return result

"""Where the norms stand: one function per block, in the words of the strategies' equations.

    net.N(slot, x)       norm            net.A(x), net.M(x)    branches with their output maps
    net.add(which, y)    what branch output y adds to the stream: gains, scales, recentring
    net.mid(x)           names the stream between the sublayers
    net.gpas(x)          x - SiLU(g) stopgrad(x) where strategy.gpas is on, else x

`init` says what the strategy does to the initial weights; goldens set all weights themselves.
"""
import math
from dataclasses import dataclass
from typing import Callable, Optional

import torch

import attention


@dataclass
class Placement:
    block: Callable                       # (net, x) -> x
    parallel: Optional[Callable] = None   # the same with model.parallel
    begin: Optional[Callable] = None      # (net, x) after the embedding
    end: Optional[Callable] = None        # (net, x) -> x before the final norm
    logits: Optional[Callable] = None     # (net, logits) -> logits
    project: Optional[Callable] = None    # (net) after init and after each update, on the weights
    narrow: bool = False                  # the stream has D - 1 features
    mlp: Optional[Callable] = None        # block without a mixer
    init: str = ""


# ----------------------------------------------------------------------------- none, post, pre, peri

def none(net, x):
    x = net.mid(net.gpas(x + net.add("attn", net.A(x))))
    return net.gpas(x + net.add("mlp", net.M(x)))


def none_parallel(net, x):
    a, b = net.add("attn", net.A(x)), net.add("mlp", net.M(x))
    return net.gpas(net.mid(x + a) + b)


def post_ln(net, x):
    x = net.mid(net.N("attn.norm_post", net.gpas(x) + net.add("attn", net.A(x))))
    return net.N("mlp.norm_post", net.gpas(x) + net.add("mlp", net.M(x)))


def post_ln_parallel(net, x):
    a, b = net.add("attn", net.A(x)), net.add("mlp", net.M(x))
    return net.N("attn.norm_post", net.mid(net.gpas(x) + a) + b)


def pre_ln(net, x):
    x = net.mid(net.gpas(x + net.add("attn", net.A(net.N("attn.norm_in", x)))))
    return net.gpas(x + net.add("mlp", net.M(net.N("mlp.norm_in", x))))


def parallel_inputs(net, x):
    h = net.N("attn.norm_in", x)
    return h, net.N("mlp.norm_in", x) if net.s["parallel_norms"] == 2 else h


def pre_ln_parallel(net, x):
    h, g = parallel_inputs(net, x)
    a, b = net.add("attn", net.A(h)), net.add("mlp", net.M(g))
    return net.gpas(net.mid(x + a) + b)


def peri_ln(net, x):
    a = net.N("attn.norm_out", net.A(net.N("attn.norm_in", x)))
    x = net.mid(net.gpas(x + net.add("attn", a)))
    b = net.N("mlp.norm_out", net.M(net.N("mlp.norm_in", x)))
    return net.gpas(x + net.add("mlp", b))


def peri_ln_parallel(net, x):
    h, g = parallel_inputs(net, x)
    a = net.add("attn", net.N("attn.norm_out", net.A(h)))
    b = net.add("mlp", net.N("mlp.norm_out", net.M(g)))
    return net.gpas(net.mid(x + a) + b)


def res_post_norm(net, x):
    x = net.mid(net.gpas(x + net.add("attn", net.N("attn.norm_out", net.A(x)))))
    return net.gpas(x + net.add("mlp", net.N("mlp.norm_out", net.M(x))))


# ----------------------------------------------------------------------------- blocks of an MLP alone

def lone_none(net, x):
    return net.gpas(x + net.add("mlp", net.M(x)))


def lone_post_ln(net, x):
    return net.N("mlp.norm_post", net.gpas(x) + net.add("mlp", net.M(x)))


def lone_pre_ln(net, x):
    return net.gpas(x + net.add("mlp", net.M(net.N("mlp.norm_in", x))))


def chain_pre_act(net, x):
    return net.M(x, pre=lambda h: net.N("mlp.norm_inner", h))


def chain_post_act(net, x):
    return net.M(x, hidden=lambda h: net.N("mlp.norm_inner", h))


# ----------------------------------------------------------------------------- Post-LN with more

def deepnorm_alpha(net):
    s, L, partner = net.s, net.job["depth"], net.s["partner_depth"]
    if s["alpha"] is not None:
        return s["alpha"]
    if not partner:
        return (2 * L) ** 0.25
    return (3 * L) ** 0.25 if net.m["mask"] == "causal" else 0.81 * (L**4 * partner) ** (1 / 16)


def deepnorm(net, x):
    alpha = deepnorm_alpha(net)
    x = net.mid(net.N("attn.norm_post", alpha * net.gpas(x) + net.add("attn", net.A(x))))
    return net.N("mlp.norm_post", alpha * net.gpas(x) + net.add("mlp", net.M(x)))


def admin(net, x):
    omega = net.param(net.prefix + "attn.omega", net.width)
    x = net.mid(net.N("attn.norm_post", omega * net.gpas(x) + net.add("attn", net.A(x))))
    omega = net.param(net.prefix + "mlp.omega", net.width)
    return net.N("mlp.norm_post", omega * net.gpas(x) + net.add("mlp", net.M(x)))


def admin_profile(net, tokens):
    """omega of each sublayer from one pass: the ratio so far; then
    ratio = sqrt(Var(omega x) + Var(f(x))), each over all tokens and features."""
    net.sites, ratio = {}, 1.0
    net.begin(0)
    x = net.embed(tokens, None)
    for layer in range(1, net.job["depth"] + 1):
        net.begin(layer)
        for which, f in (("attn", net.A), ("mlp", net.M)):
            y = f(x)
            net.P[f"{net.prefix}{which}.omega"] = torch.full((net.width,), ratio).requires_grad_(True)
            omega, ratio = ratio, math.sqrt(float((ratio * x).var(correction=0) + y.var(correction=0)))
            x = net.norm(which + ".norm_post", omega * x + y)


def keel(net, x):
    alpha = net.s["alpha"] if net.s["alpha"] is not None else 2.0 * net.job["depth"]
    a = net.add("attn", net.A(net.N("attn.norm_in", x)))
    x = net.mid(net.N("attn.norm_post", alpha * net.gpas(x) + a))
    b = net.add("mlp", net.M(net.N("mlp.norm_in", x)))
    return net.N("mlp.norm_post", alpha * net.gpas(x) + b)


def b2t(net, x):
    u = net.mid(net.N("attn.norm_post", net.gpas(x) + net.add("attn", net.A(x))))
    return net.N("mlp.norm_post", net.gpas(x + u) + net.add("mlp", net.M(u)))


# ----------------------------------------------------------------------------- Pre-LN with more

def mix_ln(net, x):
    post = math.floor(net.s["fraction"] * net.job["depth"] + 1e-9)
    return post_ln(net, x) if net.layer <= post else pre_ln(net, x)


def layernorm_scaling(net, x):
    c = 1 / math.sqrt(net.layer)
    x = net.mid(net.gpas(x + net.add("attn", net.A(c * net.N("attn.norm_in", x)))))
    return net.gpas(x + net.add("mlp", net.M(c * net.N("mlp.norm_in", x))))


def subln(net, x):
    a = net.A(net.N("attn.norm_in", x), values=lambda v: net.N("attn.norm_inner", v))
    x = net.mid(net.gpas(x + net.add("attn", a)))
    b = net.M(net.N("mlp.norm_in", x), hidden=lambda h: net.N("mlp.norm_inner", h))
    return net.gpas(x + net.add("mlp", b))


def normformer(net, x):
    def head_scale(v):
        scale = net.param(net.prefix + "attn.head_scale", net.m["n_heads"])
        return v * scale.repeat_interleave(net.m["head_dim"])

    a = net.N("attn.norm_out", net.A(net.N("attn.norm_in", x), values=head_scale))
    x = net.mid(net.gpas(x + net.add("attn", a)))
    b = net.M(net.N("mlp.norm_in", x), hidden=lambda h: net.N("mlp.norm_inner", h))
    if net.s["resscale"]:
        x = net.param(net.prefix + "mlp.res_scale", net.width) * x
    return net.gpas(x + net.add("mlp", b))


def hybridnorm(net, x):
    """q, k and v are normed by the model's qk_norm and v_norm; the MLP's norm stands on the stream."""
    x = net.mid(net.gpas(x + net.add("attn", net.A(x))))
    u = net.N("mlp.norm_in", x)
    return net.gpas(u + net.add("mlp", net.M(u)))


def hybridnorm_star(net, x):
    return pre_ln(net, x) if net.layer == 1 else hybridnorm(net, x)


def fixup(net, x):
    def shift(slot):
        return lambda y: y + net.param(net.prefix + slot, 1)

    x = net.mid(x + net.add("attn", net.A(shift("attn.shift_in")(x))))
    b = net.M(shift("mlp.shift_in")(x), pre=shift("mlp.shift_act"), hidden=shift("mlp.shift_out"))
    return x + net.add("mlp", b)


# ----------------------------------------------------------------------------- two streams

def two_streams(net, x):
    net.second = x
    return x


def siamesenorm(net, y):
    """y is the Pre-LN stream, net.second the Post-LN stream x; l is the block's number."""
    c = math.sqrt(2 * net.layer)

    def sublayer(which, f, y):
        x = net.N(which + ".norm_post", net.second)
        b = net.add(which, f(net.N(which + ".norm_in", x + net.N(which + ".norm_y", y))))
        net.second = x + b / c
        return y + b

    y = net.mid(sublayer("attn", net.A, y))
    return sublayer("mlp", net.M, y)


def siamesenorm_end(net, y):
    return net.N("final_norm_x", net.second) + net.N("final_norm_y", y)


def residual_dual(net, p):
    """p is the Post-LN stream, net.second the sum q of all branches."""
    a = net.add("attn", net.A(p))
    net.second = net.second + a
    p = net.mid(net.N("attn.norm_post", p + a))
    b = net.add("mlp", net.M(p))
    net.second = net.second + b
    return net.N("mlp.norm_post", p + b)


def residual_dual_end(net, p):
    return p + net.N("final_norm_y", net.second)


# ----------------------------------------------------------------------------- nGPT

def ngpt(net, x):
    """J(x) = x/|x|. Learned numbers p act as p times their value over their start: alpha 0.05 sqrt(D), qk_scale
    sqrt(D), logit_scale sqrt(D), the MLP's 1 (and sqrt(D) on top, to undo unit rows)."""
    root, D, dk, J = math.sqrt(net.width), net.width, net.m["head_dim"], attention.unit

    def learned(name, n, factor):
        return net.param(net.prefix + name, n) * factor

    def turned(q):
        return J(q) * learned("attn.qk_scale", net.m["n_heads"] * dk, root).reshape(-1, dk)

    def pre(h):
        up = learned("mlp.up_scale", net.m["d_ff"], root)
        if not net.gated:
            return h * up
        return h * torch.cat([learned("mlp.gate_scale", net.m["d_ff"], root), up])

    def step(which, x, y):
        alpha = learned(which + ".alpha", D, 0.05 * root)
        return J(x + net.tap(which + "_branch", alpha.abs() * (J(y) - x)))

    x = net.mid(step("attn", x, net.A(x, turned=turned)))
    return step("mlp", x, net.M(x, pre=pre))


def ngpt_logits(net, z):
    return z * (net.param("logit_scale", z.shape[-1]) * math.sqrt(net.width))


def ngpt_project(net):
    """Vectors along the axis of the stream get length 1: columns of what writes to it, rows of the rest."""
    with torch.no_grad():
        for name, w in net.P.items():
            if w.dim() == 2 and name != "pos.weight":
                axis = 0 if name.endswith(("attn.o.weight", "mlp.down.weight")) else 1
                w /= torch.sqrt((w * w).sum(axis, keepdim=True))


# ----------------------------------------------------------------------------- no skip connections

def value_skipinit(net, x):
    """Attention matrix alpha I + beta P."""
    def mix(P, v):
        return (net.param(net.prefix + "attn.skip_alpha", 1) * v
                + net.param(net.prefix + "attn.skip_beta", 1) * (P @ v))

    return net.M(net.mid(net.A(x, mix=mix)))


def kernel_block(kernel, last):
    """Attention matrix D softmax(z + B), which is the kernel's step where z = 0."""
    def block(net, x):
        D, B = attention.kernel_tables(kernel, net.layer, net.job["depth"], x.shape[1], net.s[last],
                                       net.m["mask"] == "causal")
        return net.M(net.mid(net.A(x, bias=B, mix=lambda P, v: D * (P @ v))))

    return block


def shaped_attention(net, x):
    """Attention matrix alpha I + beta P - gamma C per head, C what P is at zero logits. lambda = strategy.alpha
    of the stream is kept and the branches get sqrt(1 - lambda^2); without one there is no skip."""
    def mix(P, v):
        alpha, beta, gamma = (net.param(net.prefix + "attn.shape_" + name, net.m["n_heads"])[:, None, None]
                              for name in ("alpha", "beta", "gamma"))
        C = attention.uniform(net.job, net.layer, v.shape[2])
        return alpha * v + beta * (P @ v) - gamma * (C @ v)

    keep = net.s["alpha"] or 0.0
    if keep == 0:
        return net.M(net.mid(net.A(x, mix=mix)))
    share = math.sqrt(1 - keep**2)
    x = net.mid(keep * x + net.add("attn", share * net.A(x, mix=mix)))
    return keep * x + net.add("mlp", share * net.M(x))


PLACEMENTS = {
    "none": Placement(none, none_parallel, mlp=lone_none),
    "post_ln": Placement(post_ln, post_ln_parallel, mlp=lone_post_ln),
    "pre_ln": Placement(pre_ln, pre_ln_parallel, mlp=lone_pre_ln),
    "peri_ln": Placement(peri_ln, peri_ln_parallel),
    "res_post_norm": Placement(res_post_norm),
    "deepnorm": Placement(
        deepnorm, init="Xavier; W_V, W_O, W_1, W_2 times beta: (8L)^(-1/4), of an encoder-decoder pair "
                       "0.87 (N^4 M)^(-1/16) and (12M)^(-1/4)"),
    "subln": Placement(subln, init="W_V, W_O, W_1, W_2 times sqrt(ln 2L)"),
    "admin": Placement(
        admin, init="omega of sublayer s = sqrt(1 + sum of the variances of the branches before it) in one "
                    "forward pass with all omega at their value so far"),
    "fixup": Placement(fixup, init="W_O, W_2 and the output matrix 0; q, k, v times (2L)^(-1/6), W_1 (2L)^(-1/2)"),
    "t_fixup": Placement(none, init="Xavier; W_V, W_O, W_1, W_2 times 0.67 L^(-1/4), embeddings (9L)^(-1/4)"),
    "normformer": Placement(normformer),
    "b2t": Placement(b2t, init="all matrices of the blocks times L^(-1/2)"),
    "mix_ln": Placement(mix_ln),
    "layernorm_scaling": Placement(layernorm_scaling),
    "hybridnorm": Placement(hybridnorm),
    "hybridnorm_star": Placement(hybridnorm_star),
    "ngpt": Placement(ngpt, logits=ngpt_logits, project=ngpt_project,
                      init="alpha, qk_scale, logit_scale D^(-1/2); up_scale, gate_scale 1"),
    "keel": Placement(keel),
    "siamesenorm": Placement(siamesenorm, begin=two_streams, end=siamesenorm_end),
    "residual_dual": Placement(residual_dual, begin=two_streams, end=residual_dual_end),
    "pre_crmsnorm": Placement(pre_ln, pre_ln_parallel, narrow=True),
    "value_skipinit": Placement(value_skipinit, init="alpha 1, beta 0; W_V, W_O orthogonal"),
    "u_spa": Placement(kernel_block(attention.uniform_kernel, "rho_last"), init="W_Q 0; W_V, W_O orthogonal"),
    "e_spa": Placement(kernel_block(attention.exponential_kernel, "gamma_last"),
                       init="W_Q 0; W_V, W_O orthogonal"),
    "chain_pre_act": Placement(None, mlp=chain_pre_act),
    "chain_post_act": Placement(None, mlp=chain_post_act),
    "shaped_attention": Placement(shaped_attention, init="alpha, beta, gamma 1; W_Q 0"),
}

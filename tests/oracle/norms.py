"""Norms of one row: the last axis, n features. Every statistic is per row (per group of a row).

    layernorm         c = x - mean(x), y = w c / sqrt(mean(c^2) + eps) + b
    rmsnorm           y = w x / sqrt(mean(x^2) + eps)
    crmsnorm          y = x / sqrt((sum(x^2) + sum(x)^2) / (n + 1) + eps): rmsnorm of x and -sum(x); no affine part
    scalenorm         y = w x / max(|x|, eps), w one number
    l1norm            c = x - mean(x), y = w c / (mean|c| + eps) + b
    l1norm_gaussian   the same with sqrt(pi/2) mean|c|, which is the deviation of a Gaussian
    l2norm            y = x / |x|: no eps, no affine part
    groupnorm         layernorm in each of G groups of consecutive features; w, b [n]
    dyt               y = w tanh(alpha x) + b
    derf              y = w erf(alpha x + shift) + b

With unit offset w stands for 1 + weight. Frozen: the root is replaced by a constant.
"""
import math

import torch

GAIN_BIAS = ("layernorm", "l1norm", "l1norm_gaussian", "groupnorm", "dyt", "derf")
CENTRED = ("layernorm", "l1norm", "l1norm_gaussian", "groupnorm")
POINTWISE = ("dyt", "derf")


def parameters(kind, n, affine):
    """{name: size}."""
    p = {}
    if affine and kind not in ("crmsnorm", "l2norm"):
        p["weight"] = 1 if kind == "scalenorm" else n
        if kind in GAIN_BIAS:
            p["bias"] = n
    if kind in POINTWISE:
        p["alpha"] = 1
    if kind == "derf":
        p["shift"] = 1
    return p


def groups_of(kind, x, groups):
    return x.unflatten(-1, (groups, -1)) if kind == "groupnorm" else x


def centred(kind, x):
    return x - x.mean(-1, keepdim=True) if kind in CENTRED else x


def root(kind, x, eps):
    """What a row x (centred already) is divided by."""
    if kind in ("layernorm", "groupnorm", "rmsnorm"):
        return torch.sqrt((x * x).mean(-1, keepdim=True) + eps)
    if kind == "crmsnorm":
        square, total = (x * x).sum(-1, keepdim=True), x.sum(-1, keepdim=True)
        return torch.sqrt((square + total * total) / (x.shape[-1] + 1) + eps)
    length = torch.sqrt((x * x).sum(-1, keepdim=True))
    if kind == "l2norm":
        return length
    if kind == "scalenorm":
        return torch.clamp(length, min=eps)
    scale = math.sqrt(math.pi / 2) if kind == "l1norm_gaussian" else 1.0
    return scale * x.abs().mean(-1, keepdim=True) + eps


def pointwise(kind, x, p):
    return torch.tanh(p["alpha"] * x) if kind == "dyt" else torch.erf(p["alpha"] * x + p["shift"])


def mean_root(kind, x, eps, groups, causal):
    """The constants of a frozen norm, for x [B, T, ...]: the mean of the root over all rows; in causal models
    the first position has its own and is not in the others'."""
    roots = root(kind, centred(kind, groups_of(kind, x, groups)), eps)
    if not causal:
        return roots.mean()
    constants = torch.empty([1, x.shape[1]] + [1] * (roots.dim() - 2))
    constants[:, 0], constants[:, 1:] = roots[:, 0].mean(), roots[:, 1:].mean()
    return constants


def apply(kind, x, p, eps, groups=1, unit_offset=False, sigma=None):
    if kind in POINTWISE:
        y = pointwise(kind, x, p)
    else:
        c = centred(kind, groups_of(kind, x, groups))
        y = (c / (root(kind, c, eps) if sigma is None else sigma)).reshape(x.shape)
    if "weight" in p:
        y = y * (1 + p["weight"] if unit_offset else p["weight"])
    return y + p["bias"] if "bias" in p else y

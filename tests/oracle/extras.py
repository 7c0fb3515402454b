"""Metrics that need passes of their own, exactly: whole Jacobians and Hessians by automatic differentiation,
gradients of single sequences.

The engine has them from probes and iterations; the cases here give it as many of both as there are dimensions,
so that it must find the same numbers.
"""
import copy
import itertools

import torch

JACOBIAN = "jac_chi jac_chi_error jac_spread jac_end_chi jac_sigma_max".split()


def blocks(net, first, last, x):
    """The stream [T, D] of one sequence through blocks first..last; placements with one stream."""
    kept, net.sites = net.sites, {}
    block = net.place.parallel if net.m["parallel"] else net.place.block
    x = x[None]
    for layer in range(first, last + 1):
        net.begin(layer)
        x = block(net, x)
    net.sites = kept
    return x[0]


def singular_squares(net, first, last, X):
    """[B, n] squared singular values of the map from block first's input to block last's output."""
    out = []
    for x in X:
        J = torch.autograd.functional.jacobian(lambda v: blocks(net, first, last, v), x)
        out.append(torch.linalg.svdvals(J.reshape(x.numel(), x.numel())) ** 2)
    return torch.stack(out)


def jacobian(net, data, step):
    data.loss(net, step)
    L = net.job["depth"]
    entered = {l: net.sites[l, "resid_in"].detach() for l in range(1, L + 1)}
    out = {}
    for l in range(1, L + 1):
        s = singular_squares(net, l, l, entered[l])
        n, total = s.shape[-1], s.sum(-1)
        out[l, "resid_out", "jac_chi"] = s.mean()
        out[l, "resid_out", "jac_chi_error"] = 0.0
        out[l, "resid_out", "jac_spread"] = (n * (s**2).sum(-1) / total**2 - 1).mean()
        out[l, "resid_out", "jac_sigma_max"] = s.max().sqrt()
        site = "resid_out" if l > 1 else "embed"
        out[l - 1, site, "jac_end_chi"] = singular_squares(net, l, L, entered[l]).mean()
    return out


# ----------------------------------------------------------------------------- noise

NOISE = "noise_grad_sq noise_trace noise_scale grad_cos_min grad_cos_mean".split()


def sequence_gradients(net, data, step):
    """B times the part of each sequence in the loss of the batch, differentiated: [{name: gradient}]."""
    train, bidirectional = net.job["train"], net.m["mask"] == "bidirectional"
    B, batch = net.job["data"]["batch"], step % net.job["data"]["batches"]
    out = []
    for b in range(B):
        one = copy.copy(data)
        one.tokens, one.mask = data.tokens[:, b:b + 1], data.mask[:, b:b + 1]
        one.inputs, one.seed = data.inputs[:, b:b + 1], data.seed[b:b + 1]
        weight = 1.0
        if train["loss"] != "cross_entropy":
            weight = B
        elif bidirectional:
            weight = B * float(one.mask[batch].sum()) / float(data.mask[batch].sum())
        loss = one.loss(net, step) if weight else 0 * data.loss(net, step)
        grads = torch.autograd.grad(weight * loss, list(net.P.values()), allow_unused=True)
        out.append({name: torch.zeros_like(w) if g is None else g
                    for (name, w), g in zip(net.P.items(), grads)})
    return out


def flat(grads, names):
    return torch.cat([grads[name].reshape(-1) for name in names])


def noise(net, data, step):
    L, B = net.job["depth"], net.job["data"]["batch"]
    grads = sequence_gradients(net, data, step)
    whole = torch.stack([flat(g, net.P) for g in grads])
    batch, mean = (whole.mean(0) ** 2).sum(), (whole**2).sum(-1).mean()
    names = [f"blocks.{l - 1}.{w}.weight" for l in sorted({1, (L + 1) // 2, L}) for w in ("attn.o", "mlp.down")]
    kept = torch.stack([flat(g, names) for g in grads])
    unit = kept / kept.norm(dim=-1, keepdim=True)
    cosines = torch.stack([unit[a] @ unit[b] for a, b in itertools.combinations(range(B), 2)])
    least, middle = ("ZERO", "ZERO") if bool((kept == 0).all(-1).any()) else (cosines.min(), cosines.mean())
    signal, trace = (B * batch - mean) / (B - 1), (mean - batch) / (1 - 1 / B)
    values = dict(noise_grad_sq=signal, noise_trace=trace, noise_scale=trace / signal if signal > 0 else "NOISE",
                  grad_cos_min=least, grad_cos_mean=middle)
    return {(-1, "run", name): value for name, value in values.items()}


# ----------------------------------------------------------------------------- sharpness

SHARPNESS = "hessian_max hessian_min hessian_grad hessian_limit hessian_max_block".split()


def hessian(net, data, step):
    """Gradient [P] and Hessian [P, P] in all parameters, by double backpropagation."""
    weights = list(net.P.values())
    grads = torch.autograd.grad(data.loss(net, step), weights, create_graph=True, allow_unused=True)
    g = torch.cat([(torch.zeros_like(w) if d is None else d).reshape(-1) for w, d in zip(weights, grads)])
    rows = []
    for i in range(g.numel()):
        row = torch.autograd.grad(g[i], weights, retain_graph=True, allow_unused=True) \
            if g[i].requires_grad else [None] * len(weights)
        rows.append(torch.cat([(torch.zeros_like(w) if d is None else d).reshape(-1)
                               for w, d in zip(weights, row)]))
    return g.detach(), torch.stack(rows)


def sharpness(net, data, step):
    job, train = net.job, net.job["train"]
    g, H = hessian(net, data, step)
    eigenvalues = torch.linalg.eigvalsh(H)
    out = {(-1, "run", "hessian_max"): eigenvalues[-1], (-1, "run", "hessian_min"): eigenvalues[0],
           (-1, "run", "hessian_grad"): g @ H @ g / (g @ g)}
    if train["optimizer"] == "sgd" and train["steps"]:
        out[-1, "run", "hessian_limit"] = (2 + 2 * train["momentum"]) / train["lr"]  # constant schedule
    owner = torch.cat([torch.full((w.numel(),), int(name.split(".")[1]) + 1 if name.startswith("blocks.") else 0)
                       for name, w in net.P.items()])
    for l in range(1, job["depth"] + 1):
        own = owner == l
        out[l, "run", "hessian_max_block"] = torch.linalg.eigvalsh(H[own][:, own])[-1]
    return out


GROUPS = [(JACOBIAN, jacobian), (NOISE, noise), (SHARPNESS, sharpness)]
METRICS = [name for names, _ in GROUPS for name in names]


def probe(net, data, step):
    """{(layer, site, metric, ""): value} of those that the job asks for."""
    measure, out = net.job["measure"], {}
    for names, group in GROUPS:
        if set(names) & set(measure["metrics"]):
            out |= {(*key, ""): value if isinstance(value, str) else float(value)
                    for key, value in group(net, data, step).items()
                    if key[1] in measure["sites"] and key[2] in measure["metrics"]}
    return out

"""Metrics that need passes of their own, exactly: whole Jacobians by automatic differentiation.

The engine has them from probes and iterations; the cases here give it as many of both as there are dimensions,
so that it must find the same numbers.
"""
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


GROUPS = [(JACOBIAN, jacobian)]
METRICS = [name for names, _ in GROUPS for name in names]


def probe(net, data, step):
    """{(layer, site, metric, ""): value} of those that the job asks for."""
    measure, out = net.job["measure"], {}
    for names, group in GROUPS:
        if set(names) & set(measure["metrics"]):
            out |= {(*key, ""): float(value) for key, value in group(net, data, step).items()
                    if key[1] in measure["sites"] and key[2] in measure["metrics"]}
    return out

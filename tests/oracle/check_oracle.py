#!/usr/bin/env python3
"""The oracle against what is known without it: torch's own norms, closed forms, exact identities.

Prints one line per check; ends with status 1 when one fails. Run by hand after a change of the oracle.
"""
import math
import pathlib
import sys

import torch
import torch.nn.functional as F

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import attention  # noqa: E402
import batch_norms  # noqa: E402
import cases  # noqa: E402
import norms  # noqa: E402
import oracle  # noqa: E402

failed = 0


def check(what, error, limit=1e-12):
    global failed
    ok = error <= limit
    failed += not ok
    print(f"{'ok    ' if ok else 'FAILED'} {error:8.1e}  {what}")


def distance(a, b):
    a, b = a.detach(), b.detach()
    return float((a - b).abs().max() / b.abs().max())


def passed(**changes):
    """Network and loss after one pass and its gradient, eps 0 where nothing else is said."""
    base = dict(strategy__eps=0.0, model__activation="relu", model__tied=False)
    job = cases.case("check", **(base | changes))
    net, data = oracle.Network(job), oracle.Data(job)
    net.prepare(data)
    grads, sites = oracle.gradients(net, data.loss(net, 0))
    return net, grads, sites


# ----------------------------------------------------------------------------- norms

def check_norms():
    x, n = torch.randn(5, 12), 12
    p = {"weight": torch.randn(n), "bias": torch.randn(n)}
    w = {"weight": p["weight"]}
    check("layernorm is torch's", distance(norms.apply("layernorm", x, p, 1e-3), F.layer_norm(
        x, (n,), p["weight"], p["bias"], 1e-3)))
    check("rmsnorm is torch's", distance(norms.apply("rmsnorm", x, w, 1e-3), F.rms_norm(x, (n,), w["weight"], 1e-3)))
    check("groupnorm is torch's", distance(norms.apply("groupnorm", x, p, 1e-3, groups=3),
                                           F.group_norm(x, 3, p["weight"], p["bias"], 1e-3)))
    check("l2norm is torch's", distance(norms.apply("l2norm", x, {}, 0), F.normalize(x, dim=-1)))
    c = x - x.mean(-1, keepdim=True)
    check("crmsnorm of n - 1 numbers is rmsnorm of n with zero mean",
          distance(norms.apply("crmsnorm", c[:, :-1], {}, 1e-3), norms.apply("rmsnorm", c, {}, 1e-3)[:, :-1]))
    check("scalenorm with sqrt(n) is rmsnorm", distance(
        norms.apply("scalenorm", x, {"weight": torch.tensor([math.sqrt(n)])}, 1e-9), norms.apply("rmsnorm", x, {}, 0)))
    roots = norms.mean_root("layernorm", x[:, None].expand(5, 3, n), 0, 1, True)
    check("constants of a frozen norm", distance(roots[0, :, 0], x.std(-1, correction=0).mean().expand(3)))
    g = torch.randn(1000, 4096)
    ratio = norms.root("l1norm_gaussian", norms.centred("l1norm", g), 0) / norms.root("layernorm", g, 0)
    check("l1norm_gaussian divides Gaussians by their deviation", abs(float(ratio.mean()) - 1), 1e-3)


def check_batch_norms():
    """repbn against torch's batchnorm over some steps, state and gradient included, and folded; what is exact
    in the approximate ones."""
    s = dict(eps=1e-3, stat_keep=0.9, stat_warmup=2, stat_compat=False, stat_divisor="batch", group_scale=0,
             stat_window=4, stat_filter=True, progress_steps=4)
    theirs, ours, eta = torch.nn.BatchNorm1d(6, eps=1e-3), batch_norms.make("repbn", s, 6), torch.tensor([0.7])
    P = {"weight": theirs.weight, "bias": theirs.bias, "eta": eta}
    for _ in range(3):
        x, g = (torch.randn(4, 5, 6) for _ in range(2))
        a, b = x.clone().requires_grad_(), x.clone().requires_grad_()
        y, z = ours(a, P, True), theirs(b.flatten(0, 1)).reshape(x.shape) + eta * b
        y.backward(g), z.backward(g)
    check("repbn is torch's batchnorm and eta x", distance(y, z))
    check("repbn: gradient of x", distance(a.grad, b.grad))
    check("repbn: running mean", distance(ours.mean, theirs.running_mean))
    check("repbn: running variance", distance(ours.var, theirs.running_var))
    root = torch.sqrt(ours.var + 1e-3)
    folded = (x - ours.mean) / root * (theirs.weight + eta * root) + theirs.bias + eta * ours.mean
    check("repbn folded", distance(folded, ours(x, P, False)))
    x, g = torch.randn(4, 5, 6), torch.randn(4, 5, 6)
    exact, power = x.clone().requires_grad_(), x.clone().requires_grad_()
    batch_norms.make("powernorm_v", s, 6)(exact, {}, True).backward(g)
    site = batch_norms.make("powernorm", s, 6)
    z = x / torch.sqrt((x * x).mean((0, 1)) + 1e-3)
    site.nu = (g * z).mean((0, 1)) / (1 - 0.9)
    site(power, {}, True).backward(g)
    check("powernorm with nu at the mean of g z is exact", distance(power.grad, exact.grad))
    site, rms = batch_norms.make("unifiednorm", s | dict(eps=1e-5, stat_warmup=0), 1), []
    for k in range(40):
        scale = 100 if k == 30 else 1 + 0.01 * math.sin(7 * k)
        y = site(scale * torch.ones(64, 1, 1), {}, True)
        rms.append(float((y * y).mean().sqrt()))
    check("unifiednorm skips one batch a hundred times too large", abs(rms[30] - 1), 1e-2)


# ----------------------------------------------------------------------------- shaped kernels

def closed_e_spa(l, L, T, gamma_last):
    a2 = -math.expm1(-2 * gamma_last)
    gamma = [math.inf] + [-0.5 * math.log1p(-a2 ** (k / L)) for k in range(1, L + 1)]
    a, b = math.exp(-gamma[l]), math.exp(-gamma[l - 1])
    kappa = math.sqrt(math.expm1(-2 * gamma[l]) / math.expm1(-2 * gamma[l - 1]))
    A = torch.zeros(T, T)
    A[0, 0] = 1
    for i in range(2, T + 1):
        A[i - 1, i - 1] = kappa
        A[i - 1, 0] = a ** (i - 2) * (a - b * kappa)
        for j in range(2, i):
            A[i - 1, j - 1] = kappa * (a - b) * a ** (i - j - 1)
    return A


def table_matrix(kernel, l, L, T, last, causal=True):
    D, B = attention.kernel_tables(kernel, l, L, T, last, causal)
    hidden = torch.triu(torch.ones(T, T, dtype=torch.bool), 1) & causal
    return D * torch.softmax(B.masked_fill(hidden, -math.inf), -1)


def check_kernels():
    L, T = 6, 12
    for l in (1, 2, 6):
        check(f"e_spa tables, block {l}: closed form", distance(
            table_matrix(attention.exponential_kernel, l, L, T, 0.005), closed_e_spa(l, L, T, 0.005)))
    for name, kernel, last in (("e_spa", attention.exponential_kernel, 0.005),
                               ("u_spa", attention.uniform_kernel, 0.8)):
        for causal in (True, False):
            K = torch.eye(T)
            for l in range(1, L + 1):
                A = table_matrix(kernel, l, L, T, last, causal)
                K = A @ K @ A.T
            target = torch.tensor([[float(kernel(L, L, T, last)[i, j]) for j in range(T)] for i in range(T)])
            check(f"{name} tables carry I to the last kernel, causal {causal}", distance(K, target))


# ----------------------------------------------------------------------------- whole networks

def check_recentring():
    """Pre-LN, Pre-RMSNorm, Pre-CRMSNorm: one function, after folding gains and biases and dropping a column."""
    original, _, _ = passed(model__bias=True, strategy__eps=1e-3)
    P = {n: w.detach().clone() for n, w in original.P.items()}
    for i in range(2):
        for norm, readers in (("attn.norm_in", ("attn.q", "attn.k", "attn.v")), ("mlp.norm_in", ("mlp.up",))):
            gain, bias = (P.pop(f"blocks.{i}.{norm}.{s}") for s in ("weight", "bias"))
            for r in readers:
                W = P[f"blocks.{i}.{r}.weight"]
                P[f"blocks.{i}.{r}.bias"] += W @ bias
                P[f"blocks.{i}.{r}.weight"] = W * gain
    gain, bias = P.pop("final_norm.weight"), P.pop("final_norm.bias")
    shift = P["lm_head.weight"] @ bias
    P["lm_head.weight"] = P["lm_head.weight"] * gain
    shapes = dict(model__bias=True, strategy__eps=1e-3, strategy__affine=False)

    def start(of):
        return lambda name, shape: of[name]

    def logits(weights, **changes):
        job = cases.case("check", model__activation="relu", model__tied=False, **(shapes | changes))
        net, data = oracle.Network(job, start(weights)), oracle.Data(job)
        return net.forward(data.tokens[0][:, :-1])[1].detach()

    want = original.sites[3, "lm_logits"].detach() - shift
    check("pre_ln with folded gains and biases", distance(logits(P), want))
    check("pre_rmsnorm: recentred writers, no mean in the norm",
          distance(logits(P, strategy__norm="rmsnorm", strategy__recentre=True), want))
    narrow = {}
    for name, w in P.items():
        if name.endswith(("attn.o.weight", "mlp.down.weight", "attn.o.bias", "mlp.down.bias")):
            w = (w - w.mean(0, keepdim=True))[:-1]
        elif name in ("embed.weight", "pos.weight"):
            w = (w - w.mean(1, keepdim=True))[:, :-1]
        elif name.endswith(".weight"):
            w = w[:, :-1] - w[:, -1:]
        narrow[name] = w
    check("pre_crmsnorm: one coordinate less", distance(
        logits(narrow, strategy__placement="pre_crmsnorm", strategy__norm="crmsnorm"), want))


INVARIANT = {  # placement, fields: matrices whose scale does not matter
    "peri_ln": ({}, "attn.v attn.o mlp.up mlp.down"),
    "res_post_norm": ({}, "attn.v attn.o mlp.up mlp.down"),
    "hybridnorm": (dict(model__qk_norm=True, model__v_norm=True), "attn.q attn.k attn.v"),
    "normformer": ({}, "attn.v attn.o mlp.up"),
    "pre_ln": (dict(model__qk_norm=True), "attn.q attn.k"),
    "subln": ({}, "attn.v mlp.up"),
    "ngpt": (dict(strategy__norm="l2norm", strategy__affine=False), "attn.q attn.k attn.v attn.o mlp.up mlp.down"),
}


def check_invariances():
    for placement, (changes, matrices) in INVARIANT.items():
        net, grads, _ = passed(strategy__placement=placement, **changes)
        for m in matrices.split():
            W, g = net.P[f"blocks.0.{m}.weight"].detach(), grads[f"blocks.0.{m}.weight"]
            check(f"{placement}: loss does not see the scale of {m}",
                  float((W * g).sum().abs() / (W.norm() * g.norm())))
    for placement in ("post_ln", "deepnorm", "keel", "admin", "b2t"):
        net, _, _ = passed(strategy__placement=placement, strategy__affine=False)
        square = (net.sites[2, "resid_out"].detach() ** 2).mean(-1)
        check(f"{placement}: mean square of every token is 1", float((square - 1).abs().max()))
    net, _, _ = passed(strategy__placement="ngpt", strategy__norm="l2norm", strategy__affine=False)
    check("ngpt: tokens have length 1", float((net.sites[2, "resid_out"].detach().norm(dim=-1) - 1).abs().max()))


def check_gates():
    net, grads, sites = passed(strategy__gpas=True, model__parallel=True, strategy__final_norm=False)
    g = net.P["blocks.1.gpas_gate"].detach()
    x = net.sites[2, "resid_out"].detach() / (1 - g * torch.sigmoid(g))
    slope = torch.sigmoid(g) * (1 + g * (1 - torch.sigmoid(g)))
    check("gpas: gradient of the gate",
          distance(grads["blocks.1.gpas_gate"], -slope * (sites[2, "resid_out"] * x).sum()))
    same = {}
    for alpha in (1.0, None):
        net, _, _ = passed(strategy__placement="deepnorm" if alpha else "post_ln",
                           **({"strategy__alpha": alpha} if alpha else {}))
        same[alpha] = net.sites[2, "resid_out"].detach()
    check("deepnorm with alpha 1 is post_ln", distance(same[1.0], same[None]), 0)


if __name__ == "__main__":
    torch.manual_seed(0)
    check_norms()
    check_batch_norms()
    check_kernels()
    check_recentring()
    check_invariances()
    check_gates()
    sys.exit(failed > 0)

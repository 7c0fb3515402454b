"""Multi-head attention with its variants: equations first, nothing fused.

Per head of d_k features, for query i and key j:
    q, k      biases, then qk_norm over each head or over all heads at once, then rope, then what the
              placement does to them; v normed per head with v_norm
    z_ij      scale q_i.k_j, scale one of 1/sqrt(d_k), 1, sqrt(d_k); "cosine": q_i.k_j / (|q_i| |k_j|) times
              exp(min(tau_h, ln 100)) with a learned tau per head; then c tanh(z/c) with a softcap c;
              then plus the bias B_ij of the shaped kernels, and with relative_bias a learned one by
              distance and head
    P         softmax over the keys that i may see
    y_i       sum_j P_ij v_j, or what the placement makes of P and v
"""
import functools
import math

import mpmath
import torch

import measure

SCALES = {"inv_sqrt": lambda dk: 1 / math.sqrt(dk), "one": lambda dk: 1.0, "sqrt": math.sqrt}
BIAS_MIN = -80.0


def is_local(job, layer):
    m = job["model"]
    return m["window"] > 0 and layer % m["global_every"] != 0


def rotate(x, base, fraction):
    """rope on [B, T, heads, dh]: of the first n features j and j + n/2 turn by the angle t base^(-2j/n)."""
    T, dh = x.shape[1], x.shape[3]
    half = int(math.floor(fraction * dh / 2 + 1e-9))
    if half == 0:
        return x
    t = torch.arange(T).double()[:, None]
    angle = t * torch.tensor([base ** (-2.0 * j / (2 * half)) for j in range(half)])
    cos, sin = torch.cos(angle)[None, :, None, :], torch.sin(angle)[None, :, None, :]
    a, b = x[..., :half], x[..., half:2 * half]
    return torch.cat([a * cos - b * sin, b * cos + a * sin, x[..., 2 * half:]], dim=-1)


def unit(x):
    return x / torch.sqrt((x * x).sum(-1, keepdim=True))


def head_norm(net, slot, x):
    """x [B, T, heads, dh]."""
    m = net.m
    if m["qk_norm_span"] == "joint" and slot != "attn.v_norm":
        return net.norm(slot, x.flatten(-2), m["qk_norm_type"]).reshape(x.shape)
    return net.norm(slot, x, m["qk_norm_type"])


def heads(net, x, turned):
    """q [B, T, H, dk] and k, v [B, T, kv, dk]."""
    m, B, T = net.m, *x.shape[:2]
    H, kv, dh = m["n_heads"], m["n_kv_heads"], m["head_dim"]
    q = net.linear("attn.q", H * dh, x, m["qkv_bias"]).reshape(B, T, H, dh)
    k = net.linear("attn.k", kv * dh, x, m["k_bias"]).reshape(B, T, kv, dh)
    v = net.linear("attn.v", kv * dh, x, m["qkv_bias"])
    if m["v_norm"]:
        v = head_norm(net, "attn.v_norm", v.reshape(B, T, kv, dh)).reshape(B, T, kv * dh)
    v = net.tap("v", v).reshape(B, T, kv, dh)
    if m["qk_norm"]:
        q, k = head_norm(net, "attn.q_norm", q), head_norm(net, "attn.k_norm", k)
    if m["position"] == "rope":
        local = is_local(net.job, net.layer) and m["rope_base_local"] is not None
        base = m["rope_base_local"] if local else m["rope_base"]
        q, k = rotate(q, base, m["rope_fraction"]), rotate(k, base, m["rope_fraction"])
    if turned:
        q, k = turned(q), turned(k)
    if m["logit_scale"] == "cosine":
        q, k = unit(q), unit(k)
    q = net.tap("q", q.reshape(B, T, H * dh)).reshape(B, T, H, dh)
    k = net.tap("k", k.reshape(B, T, kv * dh)).reshape(B, T, kv, dh)
    return q, k, v


BUCKETS, FARTHEST = 32, 128


def buckets(T, causal):
    """T5's: [T, T] rows of the table, for query i and key j; half of them one distance each, the rest geometric
    up to FARTHEST; without causality half of all are for keys behind the query."""
    out = torch.zeros(T, T, dtype=torch.long)
    n = BUCKETS if causal else BUCKETS // 2
    exact = n // 2
    for i in range(T):
        for j in range(T):
            r = j - i
            base = n if not causal and r > 0 else 0
            r = max(-r, 0) if causal else abs(r)
            if r >= exact:
                far = sum(r ** (n - exact) * exact ** e >= exact ** (n - exact) * FARTHEST ** e for e in range(1, n - exact))
                r = exact + far
            out[i, j] = base + r
    return out


def scaled(net, z):
    """z [B, H, T, T] = q.k."""
    m = net.m
    z = z * m["logit_factor"]
    if m["logit_scale"] == "cosine":
        tau = net.param(net.prefix + "attn.logit_tau", m["n_heads"])
        z = z * torch.exp(torch.clamp(tau, max=math.log(100)))[:, None, None]
    elif m["logit_scale"] == "inv_sqrt":
        z = z / math.sqrt(m["head_dim"])
    else:
        z = z * SCALES[m["logit_scale"]](m["head_dim"])
    cap = m["logit_softcap"]
    return z if cap is None else cap * torch.tanh(z / cap)


def attention(net, x, turned=None, bias=None, mix=None):
    """The values of all heads side by side [B, T, H dk], before W_O. bias [T, T] is added to the logits;
    mix(P, v) replaces P v, P [B, H, T, T], v [B, H, T, dk]."""
    m, B, T = net.m, *x.shape[:2]
    H, group = m["n_heads"], m["n_heads"] // m["n_kv_heads"]
    q, k, v = heads(net, x, turned)
    k = torch.stack([k[:, :, h // group] for h in range(H)], dim=1)
    v = torch.stack([v[:, :, h // group] for h in range(H)], dim=1)
    z = scaled(net, q.transpose(1, 2) @ k.transpose(2, 3))
    if m["position"] == "relative_bias":
        table = net.param("distance_bias.weight", BUCKETS, H)
        z = z + table[buckets(T, m["mask"] == "causal")].permute(2, 0, 1)
    z = net.tap("logits", z if bias is None else z + bias)
    hidden = torch.from_numpy(~measure.visible(net.job, net.layer, T))
    P = net.tap("attn_prob", torch.softmax(z.masked_fill(hidden, -math.inf), -1))
    y = P @ v if mix is None else mix(P, v)
    return net.tap("attn_head_out", y.transpose(1, 2).reshape(B, T, H * m["head_dim"]))


# ----------------------------------------------------------------------------- shaped kernels

def uniform_kernel(l, L, T, rho_last):
    """U-SPA: (1 - rho) I + rho 11', 1 - rho_l = (1 - rho_L)^(l/L)."""
    rho = 1 - (1 - mpmath.mpf(rho_last)) ** (mpmath.mpf(l) / L)
    return mpmath.matrix(T, T) + mpmath.eye(T) * (1 - rho) + mpmath.ones(T, T) * rho


def exponential_kernel(l, L, T, gamma_last):
    """E-SPA: exp(-gamma_l |i-j|), gamma_l = -ln(1 - a^(2l/L))/2 with a^2 = 1 - exp(-2 gamma_L); gamma_0 infinite."""
    if l == 0:
        return mpmath.eye(T)
    a2 = 1 - mpmath.exp(-2 * mpmath.mpf(gamma_last))
    gamma = -mpmath.log(1 - a2 ** (mpmath.mpf(l) / L)) / 2
    K = mpmath.matrix(T, T)
    for i in range(T):
        for j in range(T):
            K[i, j] = mpmath.exp(-gamma * abs(i - j))
    return K


def square_root(K):
    values, Q = mpmath.eigsy(K)
    return Q * mpmath.diag([mpmath.sqrt(v) for v in values]) * Q.T


def kernel_step(kernel, l, L, T, last, causal):
    """A with A K_(l-1) A' = K_l: from Cholesky factors (lower triangular: causal) or symmetric roots."""
    with mpmath.workdps(60):
        factor = mpmath.cholesky if causal else square_root
        return factor(kernel(l, L, T, last)) * factor(kernel(l - 1, L, T, last)) ** -1


@functools.lru_cache
def kernel_tables(kernel, l, L, T, last, causal):
    """D [T, 1] and B [T, T] with diag(D) softmax(B) = A: row sums of A, and ln(A / D), not below -80."""
    A = kernel_step(kernel, l, L, T, last, causal)
    D, B = torch.zeros(T, 1), torch.zeros(T, T)
    with mpmath.workdps(60):
        for i in range(T):
            total = mpmath.fsum(A[i, j] for j in range(T))
            D[i, 0] = float(total)
            for j in range(T):
                log = mpmath.log(A[i, j] / total) if A[i, j] > 0 else BIAS_MIN
                B[i, j] = max(float(log), BIAS_MIN)
    return D, B


def uniform(job, layer, T):
    """Softmax of zero logits: each query spreads itself evenly over what it sees."""
    seen = torch.from_numpy(measure.visible(job, layer, T)).double()
    return seen / seen.sum(-1, keepdim=True)

"""Every metric of core/base/metric.def by its definition, for the oracle: numpy, float64, one sequence
at a time, loops where they are clearer, singular values from an SVD (never from a Gram matrix).

A value is a float, or a string: the reason (core/base/reason.def) why it is undefined.
"""
import math

import numpy as np

import measure_more

EPS = {"float32": 2.0**-23, "float64": 2.0**-52}
# [B, H, T, T]: masked entries are not measured; a row is a query, columns are no features, so there are
# no variances by feature, geometry or spectrum.
PAIR_SITES = ("logits", "attn_prob")

GROUPS = {
    "moments": "mean var var_feat var_token rms max_abs kurtosis token_rms_min token_rms_median "
               "token_rms_max token_rms_cv nonfinite",
    "gradient": "grad_rms grad_norm grad_norm_rel grad_max_abs grad_token_corr grad_nonfinite",
    "geometry": "cos_mean token_corr residual_fro residual_1inf",
    "spectrum": " ".join(f"{m}{c}" for c in ("", "_centred") for m in (
        "stable_rank participation_rank effective_rank effective_rank_energy numerical_rank "
        "numerical_rank_1e3 numerical_rank_1e2 anisotropy rank1_residual").split()),
    "attention": "attn_entropy attn_entropy_norm attn_entropy_norm_p5",
    "parameter": "param_weight_norm param_grad_norm param_grad_rms param_grad_ratio param_update_ratio",
    "fit": "loss var_growth var_growth_r2_linear var_growth_r2_exponential var_growth_r2_power "
           "var_growth_law grad_growth grad_growth_r2_linear grad_growth_r2_exponential "
           "grad_growth_r2_power grad_growth_law fp16_overflow_layer fp16_grad_flush_layer",
}
GROUPS = {group: names.split() for group, names in GROUPS.items()}
METRICS = [name for names in GROUPS.values() for name in names]


def visible(job, layer, T):
    """[T, T]: may row i of a block see column j? A local block sees `window` tokens back, itself included, and
    as far ahead where nothing is causal."""
    m = job["model"]
    window = m["window"] if m["window"] > 0 and layer % m["global_every"] != 0 else T
    i, j = np.arange(T)[:, None], np.arange(T)[None, :]
    seen = np.abs(i - j) < window
    return seen & (j <= i) if m["mask"] == "causal" else seen


# ----------------------------------------------------------------------------- moments

def entry_moments(x):
    x = x.ravel()
    mean = x.mean()
    c = x - mean
    m2, square = (c**2).mean(), (x**2).mean()
    if square == 0:
        kurtosis = "ZERO"
    else:
        kurtosis = "ZERO" if m2 < 1e-30 * square else (c**4).mean() / m2**2 - 3
    return dict(mean=mean, var=m2, rms=math.sqrt(square), max_abs=np.abs(x).max(),
                kurtosis=kurtosis, nonfinite=float(np.sum(~np.isfinite(x))))


def feature_moments(X):
    """X [B, T, D]."""
    B, T, D = X.shape
    return dict(var_feat=np.mean([X[b, t].var() for b in range(B) for t in range(T)]),
                var_token=np.mean([X[b, :, j].var() for b in range(B) for j in range(D)]))


def token_rms(X, seen):
    """X [B, T, D], or [B H, T, T] with one row per query; seen [T, D]: which entries count."""
    B, T, _ = X.shape
    rms = np.array([math.sqrt((X[b, t, seen[t]] ** 2).mean()) for b in range(B) for t in range(T)])
    return dict(token_rms_min=rms.min(), token_rms_median=np.median(rms), token_rms_max=rms.max(),
                token_rms_cv=rms.std() / rms.mean() if rms.mean() > 0 else "ZERO")


# ----------------------------------------------------------------------------- gradients

def gradient(g, last_norm):
    g = g.ravel()
    norm = math.sqrt((g**2).sum())
    return dict(grad_rms=norm / math.sqrt(g.size), grad_norm=norm,
                grad_norm_rel=norm / last_norm if last_norm > 0 else "ZERO",
                grad_max_abs=np.abs(g).max(), grad_nonfinite=float(np.sum(~np.isfinite(g))))


def gradient_token_corr(G):
    B, T, _ = G.shape
    if T < 2:
        return "ONE_TOKEN"
    energy = sum((G[b] ** 2).sum() for b in range(B))
    common = sum((G[b].sum(axis=0) ** 2).sum() for b in range(B))
    return (common - energy) / ((T - 1) * energy) if energy > 0 else "ZERO"


# ----------------------------------------------------------------------------- geometry

def cosine(X):
    T = X.shape[0]
    total, pairs = 0.0, 0
    for i in range(T):
        for j in range(i + 1, T):
            a, b = np.linalg.norm(X[i]), np.linalg.norm(X[j])
            if a > 0 and b > 0:
                total += X[i] @ X[j] / (a * b)
                pairs += 1
    return total / pairs if pairs else "ZERO"


def token_corr(X):
    T = X.shape[0]
    off = sum(X[i] @ X[j] for i in range(T) for j in range(T) if i != j)
    return off / ((T - 1) * (X**2).sum())


def norm_1inf(A):
    return math.sqrt(np.abs(A).sum(axis=0).max() * np.abs(A).sum(axis=1).max())


def geometry(X):
    if X.shape[0] < 2:
        return {m: "ONE_TOKEN" for m in GROUPS["geometry"]}
    if not X.any():
        return {m: "ZERO" for m in GROUPS["geometry"]}
    R = X - X.mean(axis=0)
    return dict(cos_mean=cosine(X), token_corr=token_corr(X),
                residual_fro=np.linalg.norm(R) / np.linalg.norm(X),
                residual_1inf=norm_1inf(R) / norm_1inf(X))


# ----------------------------------------------------------------------------- spectrum

def entropy(p):
    return -sum(v * math.log(v) for v in p if v > 0)


def spectrum_of(X, eps):
    s = np.linalg.svd(X, compute_uv=False)
    if s[0] == 0:
        return {m: "ZERO" for m in GROUPS["spectrum"][:9]}
    e = s**2
    top = e[0] / e.sum()
    return dict(stable_rank=e.sum() / e[0], participation_rank=e.sum() ** 2 / (e**2).sum(),
                effective_rank=math.exp(entropy(s / s.sum())),
                effective_rank_energy=math.exp(entropy(e / e.sum())),
                numerical_rank=float((s > max(X.shape) * eps * s[0]).sum()),
                numerical_rank_1e3=float((s > 1e-3 * s[0]).sum()),
                numerical_rank_1e2=float((s > 1e-2 * s[0]).sum()),
                anisotropy=top, rank1_residual=math.sqrt(e[1:].sum() / e.sum()))


def spectrum(X, eps):
    out = spectrum_of(X, eps)
    if X.shape[0] < 2:
        return out | {m + "_centred": "ONE_TOKEN" for m in out}
    centred = spectrum_of(X - X.mean(axis=0), eps)
    return out | {m + "_centred": v for m, v in centred.items()}


def mean_over_sequences(f, X):
    per = [f(X[b]) for b in range(X.shape[0])]
    out = {}
    for m in per[0]:
        finite = [p[m] for p in per if not isinstance(p[m], str)]
        out[m] = sum(finite) / len(finite) if finite else per[0][m]
    return out


# ----------------------------------------------------------------------------- attention

def attention(A, seen):
    """A [B, H, T, T]; seen [T, T]."""
    B, H, T, _ = A.shape
    raw, scaled = [], []
    for b in range(B):
        for h in range(H):
            for i in range(T):
                n = seen[i].sum()
                if n > 1:
                    raw.append(entropy(A[b, h, i, seen[i]]))
                    scaled.append(raw[-1] / math.log(n))
    if not raw:
        return {m: "NO_ENTRIES" for m in GROUPS["attention"]}
    return dict(attn_entropy=np.mean(raw), attn_entropy_norm=np.mean(scaled),
                attn_entropy_norm_p5=np.percentile(scaled, 5))


# ----------------------------------------------------------------------------- parameters

def parameter(w, g, update):
    weight, grad = np.linalg.norm(w), np.linalg.norm(g)
    out = dict(param_weight_norm=weight, param_grad_norm=grad,
               param_grad_rms=grad / math.sqrt(g.size),
               param_grad_ratio=grad / weight if weight > 0 else "ZERO")
    if update is not None:
        out["param_update_ratio"] = np.linalg.norm(update) / weight if weight > 0 else "ZERO"
    return out


# ----------------------------------------------------------------------------- fits

def line(x, y):
    """Least squares y = a + b x."""
    x, y = np.asarray(x, float), np.asarray(y, float)
    b = ((x - x.mean()) * (y - y.mean())).sum() / ((x - x.mean()) ** 2).sum()
    return y.mean() - b * x.mean(), b


def r2(y, fitted):
    return 1 - ((y - fitted) ** 2).sum() / ((y - y.mean()) ** 2).sum()


def positive_line(l, y):
    """ln of the line, positive at the first and last l, that is nearest to y in squares: the lines are p at the
    first and 1 - p at the last l times a factor, p in (0, 1)."""
    share = (l - l[0]) / (l[-1] - l[0])

    def shape(p):
        v = np.log(p * (1 - share) + (1 - p) * share)
        return v - v.mean() + y.mean()

    cost = lambda p: ((y - shape(p)) ** 2).sum()
    grid = np.concatenate([np.geomspace(1e-12, 1e-2, 200), np.linspace(1e-2, 0.99, 2000)[1:-1],
                           1 - np.geomspace(1e-2, 1e-12, 200)])
    i = int(np.argmin([cost(p) for p in grid]))
    low, high = grid[max(i - 1, 0)], grid[min(i + 1, len(grid) - 1)]
    for _ in range(200):
        third = (high - low) / 3
        if cost(low + third) <= cost(high - third):
            high -= third
        else:
            low += third
    return shape((low + high) / 2)


def growth(prefix, q):
    """q_l > 0 for l = 1..L: how it grows over blocks. All three laws are fitted and judged on ln q; a line that
    explains 97 % is the law; below four blocks there is nothing to tell."""
    names = ["", "_r2_linear", "_r2_exponential", "_r2_power", "_law"]
    if len(q) < 4:
        return {prefix + n: "TOO_FEW" for n in names}
    q = np.asarray(q)
    l = np.arange(1, len(q) + 1, dtype=float)
    y = np.log(q)
    a, slope = line(l, y)
    exponential = a + slope * l
    a, b = line(np.log(l), y)
    power = a + b * np.log(l)
    fits = dict(linear=r2(y, positive_line(l, y)), exponential=r2(y, exponential), power=r2(y, power))
    order = ["linear", "exponential", "power"]
    law = 1 if fits["linear"] >= 0.97 else 1 + int(np.argmax([fits[n] for n in order]))
    law = 0 if np.ptp(y) < 0.05 else law
    out = {prefix + "_r2_" + n: fits[n] for n in order}
    return out | {prefix: slope, prefix + "_law": float(law)}


def fits(job, acts, grads, loss):
    L = job["depth"]
    out = dict(loss=loss)
    out |= growth("var_growth", [acts[l, "resid_out"].var() for l in range(1, L + 1)])
    out |= growth("grad_growth", [np.linalg.norm(grads[l, "resid_out"]) for l in range(1, L + 1)])
    stream = [(0, "embed")] + [(l, "resid_out") for l in range(1, L + 1)]
    over = [l for l, site in stream if np.abs(acts[l, site]).max() > 65504]
    under = [l for l, site in stream if math.sqrt((grads[l, site] ** 2).mean()) < 2.0**-25]
    out["fp16_overflow_layer"] = float(over[0]) if over else "ABSENT"
    out["fp16_grad_flush_layer"] = float(under[-1]) if under else "ABSENT"
    return out


# ----------------------------------------------------------------------------- one probe

def site_metrics(job, layer, site, x, g, last_norm):
    if site in PAIR_SITES:
        T = x.shape[-1]
        seen = visible(job, layer, T)
        out = entry_moments(x[..., seen]) | token_rms(x.reshape(-1, T, T), seen)
        out |= gradient(g[..., seen], last_norm)
        return out | attention(x, seen) if site == "attn_prob" else out
    out = entry_moments(x) | feature_moments(x) | token_rms(x, np.ones(x.shape[1:], bool))
    out |= gradient(g, last_norm)
    out["grad_token_corr"] = gradient_token_corr(g)
    out |= mean_over_sequences(geometry, x)
    return out | mean_over_sequences(lambda X: spectrum(X, EPS[job["precision"]]), x)


def wanted(job):
    metrics = set()
    for name in job["measure"]["metrics"]:
        metrics.update(GROUPS.get(name, [name]))
    return metrics, set(job["measure"]["sites"])


def probe(job, acts, grads, params, loss):
    """{(layer, site, metric, param or ""): value} of one probed step."""
    metrics, sites = wanted(job)
    L = job["depth"]
    last_norm = np.linalg.norm(grads[L, "resid_out"])
    out = {}

    def emit(layer, site, values, param=""):
        for metric, value in values.items():
            if site in sites and metric in metrics:
                out[layer, site, metric, param] = value if isinstance(value, str) else float(value)

    for (layer, site), x in acts.items():
        if site in sites:
            emit(layer, site, site_metrics(job, layer, site, x, grads[layer, site], last_norm))
    for name, (w, g, update) in params.items():
        layer, short = measure_more.place(name, L)
        emit(layer, "param", parameter(w, g, update), short)
    emit(-1, "run", fits(job, acts, grads, loss))
    for layer, site, param, values in measure_more.probe(job, visible, acts, grads, params):
        emit(layer, site, values, param)
    return out

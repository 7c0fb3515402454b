"""More metrics of core/base/metric.def by their definitions, beside measure.py and like it: numpy, float64,
plain loops. They are kept out of measure.METRICS, so that the cases that take turns over those stay as they are.
"""
import math

import numpy as np

PAIR_SITES = ("logits", "attn_prob")
# name: largest finite number, smallest normal number, smallest number above 0
FORMATS = {
    "fp16": ((2 - 2.0**-10) * 2.0**15, 2.0**-14, 2.0**-24),
    "bf16": ((2 - 2.0**-7) * 2.0**127, 2.0**-126, 2.0**-133),
    "fp8_e4m3": (1.75 * 2.0**8, 2.0**-6, 2.0**-9),
    "fp8_e5m2": (1.75 * 2.0**15, 2.0**-14, 2.0**-16),
}
FORMAT_METRICS = [f"{g}{f}_{m}" for f in FORMATS for g in ("", "grad_")
                  for m in ("headroom_bits", "frac_overflow", "frac_subnormal", "frac_flush")]
FORMAT_METRICS += [f"grad_{f}_loss_scale" for f in FORMATS]

GROUPS = {
    "format": FORMAT_METRICS + [f"{f}_overflow_layer" for f in ("bf16", "fp8_e4m3", "fp8_e5m2")],
    "place": "abs_top1_token abs_top1_feature max_rms_ratio".split(),
    "branch": "branch_ratio branch_cos branch_alignment bf16_stall qk_to_v_grad_ratio".split(),
    "outlier": "massive_count max_median_ratio abs_top1 abs_top2 abs_top3 abs_median neuron_kurtosis mmr "
               "feature_corr_rms batch_corr_mean batch_corr_rms".split(),
    "geometry": "cos_abs_mean cos_mean_centred zero_tokens residual_floor".split(),
    "angle": ["angle_exponent"],
    "similarity": "angular_distance angular_distance_last cka_prev cka_last cka_map".split(),
    "parameter": "param_grad_max param_grad_var".split(),
    "spike": "grad_spikes grad_spike_z grad_spike_step".split(),
}
METRICS = [name for names in GROUPS.values() for name in names]


# ----------------------------------------------------------------------------- formats

def formats(x, prefix):
    a = np.abs(x.ravel())
    out = {}
    for name, (largest, normal, least) in FORMATS.items():
        head = math.log2(largest / a.max()) if a.max() > 0 else "ZERO"
        out[f"{prefix}{name}_headroom_bits"] = head
        out[f"{prefix}{name}_frac_overflow"] = np.mean(a > largest)
        out[f"{prefix}{name}_frac_subnormal"] = np.mean((a > 0) & (a < normal))
        out[f"{prefix}{name}_frac_flush"] = np.mean((a > 0) & (a <= least / 2))
        if prefix:
            out[f"{prefix}{name}_loss_scale"] = head if head == "ZERO" else 2.0 ** math.floor(head - 1)
    return out


def overflow_layers(job, acts, grads):
    stream = [(0, "embed")] + [(l, "resid_out") for l in range(1, job["depth"] + 1)]
    out = {}
    for name, (largest, _, _) in FORMATS.items():
        over = [l for l, site in stream if np.abs(acts[l, site]).max() > largest]
        out[f"{name}_overflow_layer"] = float(over[0]) if over else "ABSENT"
        over = [l for l, site in stream if np.abs(grads[l, site]).max() > largest]
        out[f"grad_{name}_overflow_layer"] = float(over[-1]) if over else "ABSENT"
    return out


# ----------------------------------------------------------------------------- branches

def quotient(top, bottom):
    return top / bottom if bottom > 0 else "ZERO"


def stream_factor(job, params, layer, kind):
    """What a sum does to its stream, by the definitions of the placements."""
    s, L = job["strategy"], job["depth"]
    if s["placement"] == "deepnorm":
        return s["alpha"] if s["alpha"] is not None else (2 * L) ** 0.25
    if s["placement"] == "keel":
        return s["alpha"] if s["alpha"] is not None else 2.0 * L
    if s["placement"] == "admin":
        return params[f"blocks.{layer - 1}.{kind}.omega"][0]
    return 1.0


def branches(job, acts, params):
    out = {}
    for kind, enters in (("attn", "resid_in"), ("mlp", "resid_mid")):
        site = kind + "_branch"
        for layer in range(1, job["depth"] + 1):
            if (layer, site) not in acts:
                continue
            f = acts[layer, site]
            enters = enters if (layer, enters) in acts else "resid_in"
            s = stream_factor(job, params, layer, kind) * acts[layer, enters]
            long, wide = np.linalg.norm(f), np.linalg.norm(s)
            row = dict(branch_ratio=quotient(long, wide), branch_cos=quotient((f * s).sum(), long * wide),
                       bf16_stall=np.mean(np.abs(f) < np.abs(s) / 512))
            if layer > 1:
                g = acts[layer - 1, site]
                row["branch_alignment"] = quotient((f * g).sum(), long * np.linalg.norm(g))
            out[layer, site] = row
    return out


def qk_to_v(params, layer):
    g = {m: np.linalg.norm(params[f"blocks.{layer - 1}.attn.{m}.weight"][1]) for m in "qkv"}
    return dict(qk_to_v_grad_ratio=quotient(math.hypot(g["q"], g["k"]), g["v"]))


# ----------------------------------------------------------------------------- outliers

STREAM = ("embed", "resid_in", "resid_mid", "resid_out")


def top(a, k):
    return sorted(a, reverse=True)[k - 1] if len(a) >= k else "NO_ENTRIES"


def mean_of(values, why):
    finite = [v for v in values if not isinstance(v, str)]
    return float(np.mean(finite)) if finite else why


def outliers(site, x):
    """x [B, T, D]."""
    flat = x.reshape(-1, x.shape[-1])
    s = (flat**2).sum(axis=0)
    ratios = []
    for token in np.abs(flat):
        median = np.median(token)
        ratios.append(token.max() / median if median > 0 else "ZERO")
    out = dict(neuron_kurtosis=np.mean(s**2) / np.mean(s) ** 2 if s.any() else "ZERO", mmr=mean_of(ratios, "ZERO"))
    if site not in STREAM:
        return out
    unit = flat / math.sqrt((flat**2).mean())
    features, tokens = unit.T @ unit / len(unit), unit @ unit.T / unit.shape[1]
    apart = lambda A: A[~np.eye(len(A), dtype=bool)]
    out["feature_corr_rms"] = math.sqrt((apart(features) ** 2).mean())
    out["batch_corr_mean"] = apart(tokens).mean()
    out["batch_corr_rms"] = math.sqrt((apart(tokens) ** 2).mean())
    medians = [np.median(np.abs(X)) for X in x]
    for k in (1, 2, 3):
        out[f"abs_top{k}"] = mean_of([top(np.abs(X).ravel(), k) for X in x], "NO_ENTRIES")
    out["abs_median"] = np.mean(medians)
    out["max_median_ratio"] = mean_of([np.abs(X).max() / m if m > 0 else "ZERO" for X, m in zip(x, medians)], "ZERO")
    out["massive_count"] = float(sum(((np.abs(X) > 100) & (np.abs(X) >= 1000 * m)).sum()
                                     for X, m in zip(x, medians)))
    return out


def places(x):
    """Of the largest |x| of all sequences [B, T, D]; and how far it stands out."""
    a = np.abs(x)
    if not a.any():
        return {m: "ZERO" for m in GROUPS["place"]}
    _, token, feature = np.unravel_index(a.argmax(), x.shape)
    return dict(abs_top1_token=float(token), abs_top1_feature=float(feature),
                max_rms_ratio=a.max() / math.sqrt((x**2).mean()))


# ----------------------------------------------------------------------------- geometry

def mean_of_pairs(X, f):
    T = len(X)
    pairs = [f(X[i] @ X[j] / np.linalg.norm(X[i]) / np.linalg.norm(X[j])) for i in range(T) for j in range(i)
             if X[i].any() and X[j].any()]
    return np.mean(pairs) if pairs else "ZERO"


def cosines(x, eps):
    """x [B, T, D]."""
    if x.shape[1] < 2:
        return {m: "ONE_TOKEN" for m in GROUPS["geometry"] if m != "zero_tokens"} | dict(zero_tokens=0.0)
    centre = x.reshape(-1, x.shape[-1]).mean(axis=0)
    floor = [float(np.linalg.norm(X - X.mean(axis=0)) <= 2 * eps * np.linalg.norm(X)) for X in x if X.any()]
    return dict(cos_abs_mean=mean_of([mean_of_pairs(X, abs) for X in x], "ZERO"),
                cos_mean_centred=mean_of([mean_of_pairs(X - centre, float) for X in x], "ZERO"),
                zero_tokens=float(sum(not token.any() for X in x for token in X)),
                residual_floor=mean_of(floor, "ZERO"))


# ----------------------------------------------------------------------------- similarity

def angle(x, y):
    """Mean over sequences, last token: by the law of cosines in a form without cancellation."""
    per = []
    for u, v in zip(x[:, -1], y[:, -1]):
        if not u.any() or not v.any():
            continue
        u, v = u / np.linalg.norm(u), v / np.linalg.norm(v)
        per.append(2 * math.atan2(np.linalg.norm(u - v), np.linalg.norm(u + v)) / math.pi)
    return np.mean(per) if per else "ZERO"


def hsic(K, L):
    """HSIC_1 in its three terms."""
    n = len(K)
    K, L = K - np.diag(np.diag(K)), L - np.diag(np.diag(L))
    one = np.ones(n)
    return (np.trace(K @ L) + (one @ K @ one) * (one @ L @ one) / ((n - 1) * (n - 2))
            - 2 / (n - 2) * (one @ K @ L @ one)) / (n * (n - 3))


def cka(x, y):
    T = x.shape[1]
    if T < 4:
        return "FEW_TOKENS"
    n = min(T, 128)
    pick = [i * T // n for i in range(n)]
    sums = np.zeros(3)
    for X, Y in zip(x[:, pick], y[:, pick]):
        K, L = X @ X.T, Y @ Y.T
        sums += hsic(K, L), hsic(K, K), hsic(L, L)
    return sums[0] / math.sqrt(sums[1] * sums[2])


def similarities(job, acts):
    """Yields (layer, site, param, {metric: value})."""
    L = job["depth"]
    stream = [acts[0, "embed"]] + [acts[l, "resid_out"] for l in range(1, L + 1)]
    count = min(L + 1, 64)
    chosen = [i * L // (count - 1) for i in range(count)]
    for l, x in enumerate(stream):
        out = dict(angular_distance=angle(x, stream[l - 1]), cka_prev=cka(x, stream[l - 1])) if l else {}
        if l < L:
            out["angular_distance_last"] = angle(x, stream[L])
            if l in chosen:
                out["cka_last"] = cka(x, stream[L])
        yield l, "resid_out" if l else "embed", "", out
    for l in chosen:
        for other in chosen:
            if other < l:
                yield l, "resid_out", f"layer.{other}", dict(cka_map=cka(stream[l], stream[other]))


# ----------------------------------------------------------------------------- spikes

def spikes(norms):
    """norms of steps 0..N, None where there was no backward pass."""
    logs = [math.log(g) if g is not None and math.isfinite(g) and g > 0 else None for g in norms]
    scores = {}
    for t, g in enumerate(logs):
        before = [v for v in logs[max(0, t - 32):t] if v is not None]
        if g is None or len(before) < 8:
            continue
        median = np.median(before)
        scores[t] = (g - median) / (1.4826 * np.median(np.abs(np.array(before) - median)) + 1e-3)
    if not scores:
        return {m: "TOO_FEW" for m in GROUPS["spike"]}
    over = [t for t, z in scores.items() if z > 6]
    return dict(grad_spikes=float(len(over)), grad_spike_z=max(scores.values()),
                grad_spike_step=float(over[0]) if over else "ABSENT")


# ----------------------------------------------------------------------------- angles

def apart(X):
    """1 - rho of one sequence, from what is left of its tokens beside their mean."""
    T = len(X)
    return T / (T - 1) * (np.linalg.norm(X - X.mean(axis=0)) / np.linalg.norm(X)) ** 2


def angles(job, acts):
    streams = [acts[l, "resid_out"] for l in range(1, job["depth"] + 1)]
    if streams[0].shape[1] < 2:
        return dict(angle_exponent="ONE_TOKEN")
    rest = [(l, np.mean([apart(X) for X in x])) for l, x in enumerate(streams)]
    rest = [(l, y) for l, y in rest if y >= 1e-10]
    if len(rest) < 4:
        return dict(angle_exponent="TOO_FEW")
    l, y = np.array(rest).T
    return dict(angle_exponent=np.polyfit(l, np.log(y), 1)[0])


# ----------------------------------------------------------------------------- parameters

def parameter(g):
    return dict(param_grad_max=np.abs(g).max(), param_grad_var=((g - g.mean()) ** 2).mean())


def place(name, L):
    """Layer of a parameter, and its name there."""
    if name.startswith("blocks."):
        _, i, rest = name.split(".", 2)
        return int(i) + 1, rest
    return (L + 1 if name.startswith(("final_norm", "lm_head", "logit_scale")) else 0), name


# ----------------------------------------------------------------------------- one probe

def site_metrics(job, seen, site, x, g):
    if site in PAIR_SITES:
        x, g = x[..., seen], g[..., seen]
        return formats(x, "") | formats(g, "grad_")
    return formats(x, "") | formats(g, "grad_") | outliers(site, x) | cosines(x, 2.0**-52) | places(x)


def probe(job, visible, acts, grads, params):
    """Yields (layer, site, param or "", {metric: value}) of one probed step."""
    for (layer, site), x in acts.items():
        yield layer, site, "", site_metrics(job, visible(job, layer, x.shape[-1]), site, x, grads[layer, site])
    for (layer, site), row in branches(job, acts, params).items():
        yield layer, site, "", row
    for layer in range(1, job["depth"] + 1):
        if f"blocks.{layer - 1}.attn.q.weight" in params:
            yield layer, "param", "attn.q.weight", qk_to_v(params, layer)
    for name, (_, g, _) in params.items():
        layer, short = place(name, job["depth"])
        yield layer, "param", short, parameter(g)
    yield -1, "run", "", overflow_layers(job, acts, grads) | angles(job, acts)
    yield from similarities(job, acts)

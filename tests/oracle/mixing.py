"""Attention metrics beyond entropies (core/metric/attention.h, contraction.h), by their definitions: numpy,
float64, one head at a time, singular values from an SVD of C A C with C = I - 11'/T written out."""
import math

import numpy as np

import measure

LOGITS = ["logit_scale", "logit_scale_centred", "logit_max"]
HEADS = ["attn_participation", "attn_stable_rank", "attn_participation_rank", "attn_effective_rank",
         "attn_contraction", "attn_contraction_mean", "attn_path_contraction"]
METRICS = LOGITS + HEADS


def rows(x, seen):
    """What each query with more than one visible key sees: x [B, H, T, T]."""
    B, H, T, _ = x.shape
    return [x[b, h, i, seen[i]] for b in range(B) for h in range(H) for i in range(T) if seen[i].sum() > 1]


def of_logits(x, seen):
    each = rows(x, seen)
    if not each:
        return {m: "NO_ENTRIES" for m in LOGITS}
    return dict(logit_scale=np.concatenate(each).std(),
                logit_scale_centred=math.sqrt(np.mean([r.var() for r in each])),
                logit_max=max(r.max() for r in each))


def head(A):
    T = A.shape[0]
    s = np.linalg.svd(A, compute_uv=False)
    C = np.eye(T) - np.ones((T, T)) / T
    k = np.linalg.svd(C @ A @ C, compute_uv=False)
    out = dict(attn_stable_rank=(s**2).sum() / s[0] ** 2,
               attn_participation_rank=(s**2).sum() ** 2 / (s**4).sum(),
               attn_effective_rank=math.exp(measure.entropy(s / s.sum())))
    if T < 2:
        return out | dict(attn_contraction="ONE_TOKEN", attn_contraction_mean="ONE_TOKEN")
    return out | dict(attn_contraction=k[0], attn_contraction_mean=math.sqrt((k**2).sum() / (T - 1)))


def mean(values):
    return values[0] if isinstance(values[0], str) else float(np.mean(values))


def of_heads(A, seen, products):
    """products [B, T, T]: of the blocks before, becomes those of the blocks so far."""
    B, H, T, _ = A.shape
    A = np.where(seen, A, 0.0)
    each = rows(A, seen)
    heads = [head(A[b, h]) for b in range(B) for h in range(H)]
    out = {m: mean([one[m] for one in heads]) for m in heads[0]}
    out["attn_participation"] = np.mean([r.size * (r**2).sum() for r in each]) if each else "NO_ENTRIES"
    C = np.eye(T) - np.ones((T, T)) / T
    for b in range(B):
        products[b] = A[b].mean(axis=0) @ products[b]
    path = [np.linalg.svd(C @ P @ C, compute_uv=False)[0] for P in products]
    out["attn_path_contraction"] = float(np.mean(path)) if T > 1 else "ONE_TOKEN"
    return out


def probe(job, acts):
    """As measure.probe, of the metrics here."""
    metrics, sites = measure.wanted(job)
    out, products = {}, None
    for layer in range(1, job["depth"] + 1):
        if (layer, "logits") not in acts:
            continue
        x, A = acts[layer, "logits"], acts[layer, "attn_prob"]
        B, _, T, _ = A.shape
        seen = measure.visible(job, layer, T)
        products = np.stack([np.eye(T)] * B) if products is None else products
        for site, values in (("logits", of_logits(x, seen)), ("attn_prob", of_heads(A, seen, products))):
            for metric, value in values.items():
                if site in sites and metric in metrics:
                    out[layer, site, metric, ""] = value if isinstance(value, str) else float(value)
    return out

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
    "branch": "branch_ratio branch_cos branch_alignment bf16_stall qk_to_v_grad_ratio".split(),
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


def overflow_layers(job, acts):
    stream = [(0, "embed")] + [(l, "resid_out") for l in range(1, job["depth"] + 1)]
    out = {}
    for name, (largest, _, _) in FORMATS.items():
        over = [l for l, site in stream if np.abs(acts[l, site]).max() > largest]
        out[f"{name}_overflow_layer"] = float(over[0]) if over else "ABSENT"
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


# ----------------------------------------------------------------------------- one probe

def site_metrics(job, seen, site, x, g):
    if site in PAIR_SITES:
        x, g = x[..., seen], g[..., seen]
    return formats(x, "") | formats(g, "grad_")


def probe(job, visible, acts, grads, params):
    """Yields (layer, site, param or "", {metric: value}) of one probed step."""
    for (layer, site), x in acts.items():
        yield layer, site, "", site_metrics(job, visible(job, layer, x.shape[-1]), site, x, grads[layer, site])
    for (layer, site), row in branches(job, acts, params).items():
        yield layer, site, "", row
    for layer in range(1, job["depth"] + 1):
        yield layer, "param", "attn.q.weight", qk_to_v(params, layer)
    yield -1, "run", "", overflow_layers(job, acts)

#!/usr/bin/env python3
"""The maximal update parametrization and the coordinate check, on top of the oracle: writes the goldens
mup-*.json and coordinate-*.json, of make_goldens.py's layout.

m = d_model / base_width. Weights are the pattern's, so the init has no part in it. Attention logits times
sqrt(base_head_dim / head_dim), vocabulary logits over m; adamw: matrices in blocks at 1/m of the rate and m times
the decay; sgd: everything but those at m times the rate and 1/m of the decay.
"""
import math

import numpy as np

import cases
import fields
import measure
import oracle

METRICS = ["rms", "grad_norm", "param_update_ratio", "mean_abs", "delta_mean_abs", "delta_rms"]
SITES = "embed resid_in q k logits attn_prob attn_raw mlp_pre resid_out final_norm lm_logits param".split()


def is_mup(job):
    return job["train"].get("parametrization") == "mup"


def width(job):
    return job["model"]["d_model"] / job["train"]["base_width"] if is_mup(job) else 1.0


class Network(oracle.Network):
    def __init__(self, job):
        job = fields.resolve(job)
        if is_mup(job):
            base = job["train"].get("base_head_dim", job["train"]["base_width"] // job["model"]["n_heads"])
            job["model"]["logit_factor"] *= math.sqrt(base / job["model"]["head_dim"])
        self.m_width = width(job)
        super().__init__(job)

    def head(self, x):
        return super().head(x / self.m_width)


def optimizer_for(job):
    m, adam = width(job), job["train"]["optimizer"] == "adamw"

    class Optimizer(oracle.Optimizer):
        def factor(self, name, w):
            hidden = name.startswith("blocks.") and w.dim() == 2
            return (1 / m if hidden else 1.0) if adam else (1.0 if hidden else m)

        def adamw(self, name, w, g, lr, decay):
            f = self.factor(name, w)
            super().adamw(name, w, g, lr * f, decay / f)

        def sgd(self, name, w, g, lr, decay):
            f = self.factor(name, w)
            super().sgd(name, w, g, lr * f, decay / f)

    return Optimizer


def seen(job, layer, site, x):
    return x[..., measure.visible(job, layer, x.shape[-1])] if site in measure.PAIR_SITES else x


def coordinates(job, probes):
    """{(step, layer, site, metric, ""): value}"""
    out, first = {}, min(probes)
    job = fields.resolve(job)
    for step, (acts, *_) in probes.items():
        for (layer, site), x in acts.items():
            if site not in job["measure"]["sites"]:
                continue
            x, y = (seen(job, layer, site, probes[s][0][layer, site]) for s in (step, first))
            values = dict(mean_abs=np.abs(x).mean(), delta_mean_abs="FIRST_STEP", delta_rms="FIRST_STEP")
            if step > first:
                values |= dict(delta_mean_abs=np.abs(x - y).mean(), delta_rms=math.sqrt(((x - y) ** 2).mean()))
            out |= {(step, layer, site, m, ""): v if isinstance(v, str) else float(v) for m, v in values.items()}
    return out


def run(job):
    kept = oracle.Network, oracle.Optimizer
    oracle.Network, oracle.Optimizer = Network, optimizer_for(job)
    try:
        result = oracle.run(job)
    finally:
        oracle.Network, oracle.Optimizer = kept
    result["measurements"] |= coordinates(job, result["probes"])
    return result


def case(name, **changes):
    changes = dict(model__d_model=16, model__n_heads=2, model__d_ff=24, data__batches=1, train__steps=3,
                   measure__steps=[0, 1, 3], measure__metrics=METRICS, measure__sites=SITES) | changes
    train = {k.split("__")[1]: changes.pop(k) for k in list(changes)
             if k in ("train__parametrization", "train__base_width", "train__base_head_dim")}
    job = cases.case(name, **changes)
    job["train"] |= train
    return job


def all_cases():
    mup = dict(train__parametrization="mup", train__base_width=4)
    return [
        case("coordinate-pre-ln"),
        case("coordinate-window-bidirectional", model__mask="bidirectional", model__window=2, model__global_every=2,
             strategy__placement="post_ln", data__seq_len=7),
        case("mup-adamw", **mup),
        case("mup-adamw-untied-bias", model__tied=False, model__bias=True, model__k_bias=False,
             model__activation="swiglu", **mup),
        case("mup-head-dim", train__base_head_dim=8, model__position="rope", train__decay="all", **mup),
        case("mup-sgd", train__optimizer="sgd", train__lr=0.05, model__tied=False, model__bias=True, model__k_bias=False,
             **mup),
        case("mup-peri-softcap", strategy__placement="peri_ln", strategy__norm="rmsnorm", model__final_softcap=2.0,
             strategy__residual_rule="inv_depth", **mup),
        case("mup-narrower", train__parametrization="mup", train__base_width=32),
    ]


def main():
    import make_goldens
    for job in all_cases():
        path = make_goldens.OUT / f"{job['name']}.json"
        path.write_text(make_goldens.dump(make_goldens.golden(job, run)))
        print(f"{path.stat().st_size:7d} {job['name']}")


if __name__ == "__main__":
    main()

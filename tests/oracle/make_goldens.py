#!/usr/bin/env python3
"""Writes tests/golden/*.json from the oracle: one file per case of cases.py. `make golden` runs it.

Layout of a file (read by tests/server/network/test_golden.c):
    provenance    who computed it
    job           the job, as POSTed
    steps         [loss, lr, grad_norm] of steps 0..N
    measurements  [step, layer, site, {"metric": value or "REASON", ...}]; a parameter's site is "param:NAME",
                  that of a pair of layers "resid_out:layer.N"
    sites         [layer, site, act cos, act sin, grad cos, grad sin] at the first probed step:
                  pattern.projections; entries of logits and attn_prob that the mask hides count as zero
    parameters    [name, grad norm, cos, sin, weight norm, cos, sin]: gradient at the first probed step,
                  weight after the last update
    profiled      true: omega of admin is not a pattern but what its profiling pass says
    state         [name, norm, cos, sin]: running state of norms with batch statistics after the last update
Losses and measurements are float64 as Python's repr, projections have 13 digits (four more than are
compared), which keeps the files small. A site that is the same tensor as one before it (resid_in and the
resid_out of the block below) has measurements but no second row of projections.
"""
import json
import pathlib
import sys

import numpy as np
import torch

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import cases  # noqa: E402
import casts  # noqa: E402
import fields  # noqa: E402
import measure  # noqa: E402
import mup  # noqa: E402
import oracle  # noqa: E402
import pattern  # noqa: E402
import proxies  # noqa: E402
import rounded  # noqa: E402

OUT = pathlib.Path(__file__).parent.parent / "golden"
PROVENANCE = dict(script="tests/oracle/make_goldens.py", torch=torch.__version__,
                  numpy=np.__version__, dtype="float64", device="cpu")


def digits(values):
    return [float(f"{v:.13g}") for v in values]


def site_rows(job, acts, grads):
    rows = []
    for (layer, site), x in acts.items():
        if site not in job["measure"]["sites"] or site == "resid_in":
            continue
        g = grads[layer, site]
        if site in measure.PAIR_SITES:
            seen = measure.visible(job, layer, x.shape[-1])
            x, g = np.where(seen, x, 0.0), np.where(seen, g, 0.0)
        rows.append([layer, site, *digits(pattern.projections(x) + pattern.projections(g))])
    return rows


def tensor_row(x):
    return digits((np.linalg.norm(x), *pattern.projections(x)))


def golden(job, run=None):
    profiled = job["name"] in cases.PROFILED
    r = run(job) if run else oracle.run(job, profiled)
    groups = {}
    for (step, layer, site, metric, param), value in r["measurements"].items():
        key = (step, layer, f"{site}:{param}" if param else site)
        groups.setdefault(key, {})[metric] = value
    first = job["measure"]["steps"][0]
    acts, grads, param_grads = r["probes"][first]
    state = [[n, *tensor_row(x)] for n, x in r["state"].items()]
    return dict(
        provenance=PROVENANCE, job=job, steps=r["steps"],
        measurements=[[*key, values] for key, values in groups.items()],
        sites=site_rows(fields.resolve(job), acts, grads),
        parameters=[[n, *tensor_row(g), *tensor_row(r["final"][n])] for n, g in param_grads.items()],
        **(dict(state=state) if state else {}), **(dict(profiled=True) if profiled else {}))


def dump(g):
    lines = []
    for key, value in g.items():
        if isinstance(value, list):
            rows = ",\n".join(json.dumps(row, separators=(",", ":")) for row in value)
            lines.append(f"{json.dumps(key)}:[\n{rows}]")
        else:
            lines.append(f"{json.dumps(key)}:{json.dumps(value, separators=(',', ':'))}")
    return "{" + ",\n".join(lines) + "}\n"


def main():
    OUT.mkdir(exist_ok=True)
    for old in OUT.glob("*.json"):
        old.unlink()
    total = 0
    for job in cases.all_cases():
        text = dump(golden(job))
        (OUT / f"{job['name']}.json").write_text(text)
        total += len(text)
        print(f"{len(text):7d} {job['name']}")
    print(f"{total:7d} bytes in all")
    casts.main()
    proxies.main()
    mup.main()
    rounded.main()


if __name__ == "__main__":
    main()

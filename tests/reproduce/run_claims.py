#!/usr/bin/env python3
"""Runs the claims of claims.py, then the gallery, and prints what was claimed, by whom, what was measured and what
was predicted.

    run_claims.py --program build/normscope [--only TEXT]

A claim that does not reproduce is shown as such; the exit status is 1 unless that was known, with the reason.
"""
import argparse
import json
import pathlib
import subprocess
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent))
import claims  # noqa: E402


def run(program, job):
    out = subprocess.run([program, "run", "-", "--quiet", "--format", "ndjson"], input=json.dumps(job), text=True,
                         capture_output=True)
    lines = [json.loads(line) for line in out.stdout.splitlines()]
    if out.returncode not in (0, 3, 4) or not lines:
        sys.exit(f"{out.stderr.strip()}\n{json.dumps(job)}")
    return claims.Result(lines)


def judge(claim, measured):
    """(text of what is predicted, agrees)"""
    if "least" in claim:
        return f">= {claim['least']:.4g}", measured >= claim["least"]
    if "most" in claim:
        return f"<= {claim['most']:.4g}", measured <= claim["most"]
    predicted = claim["predicted"]
    room = claim.get("tolerance", claim.get("share", 0) * abs(predicted))
    return f"{predicted:.4g} +- {room:.2g}", abs(measured - predicted) <= room


def gallery(program):
    """(expectations, those that fail) of all jobs of the gallery; the program prints and judges each."""
    names = json.loads(subprocess.run([program, "describe", "gallery", "--json"], capture_output=True, check=True).stdout)
    count = wrong = 0
    for g in names["gallery"]:
        out = subprocess.run([program, "run", f"gallery:{g['name']}", "--quiet", "--out", "/dev/null"], text=True,
                             capture_output=True)
        lines = [line for line in out.stderr.splitlines() if line.startswith(("holds", "FAILS"))]
        failed = sum(line.startswith("FAILS") for line in lines)
        if len(lines) != len(g["expect"]) or (out.returncode == 4) != (failed > 0):
            sys.exit(f"gallery:{g['name']} ended with {out.returncode}: {out.stderr}")
        print(f"gallery:{g['name']} [{g['source']}]", *lines, sep="\n  ", flush=True)
        count, wrong = count + len(lines), wrong + failed
    return count, wrong


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", default="build/normscope")
    p.add_argument("--only", default="", help="claims whose text contains this")
    a = p.parse_args()
    results, wrong, open_, count = {}, 0, 0, 0
    print(f"{'':6s} {'measured':>11s}  {'predicted':20s} claim [source]")
    for claim in claims.CLAIMS:
        if a.only.lower() not in claim["claim"].lower():
            continue
        key = json.dumps(claim["job"], sort_keys=True)
        if key not in results:
            results[key] = run(a.program, claim["job"])
        measured = claim["measure"](results[key])
        text, agrees = judge(claim, measured)
        known = claim.get("known")
        count, wrong, open_ = count + 1, wrong + (not agrees and not known), open_ + (not agrees and bool(known))
        print(f"{'agrees' if agrees else 'DIFFERS':7s}{measured:11.5g}  {text:20s} {claim['claim']} [{claim['source']}]"
              f"{'; known: ' + known if known and not agrees else ''}", flush=True)
    print(f"{count} claims: {count - wrong - open_} reproduce, {wrong + open_} do not, {open_} of them known")
    expected, failed = (0, 0) if a.only else gallery(a.program)
    print(f"{expected} expectations of the gallery: {expected - failed} hold, {failed} do not")
    sys.exit(wrong + failed > 0)


if __name__ == "__main__":
    main()

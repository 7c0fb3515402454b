#!/usr/bin/env python3
"""Published and derived numbers at the start of training, measured again: `make reproduce`.

    run.py --program build/normscope [--seeds N] [--only TEXT]

Each row of section_3_2.json is a job with what an independent implementation found for it over 16 seeds (mean,
standard deviation) and what the published table says (mean of two seeds). The job is run here over N seeds with
random numbers of our own, so that values agree within the error over seeds and not digit by digit:

    agrees      |ours - independent| <= 4 standard errors of the difference + 1e-6 of the value
    table       |ours - table| <= 4 standard errors, or 25 % (the table's own two seeds scatter so much)

The exit status is 1 when a value does not agree with the independent implementation. One that does not agree with
the table alone is shown, and is no failure of ours.
"""
import argparse
import json
import math
import pathlib
import subprocess
import sys

ROWS = pathlib.Path(__file__).parent / "section_3_2.json"
SITES = {"var": ("resid_out", "var_feat"), "gx": ("resid_out", "grad_norm"), "cos": ("resid_out", "cos_mean"),
         "gw2": ("param", "param_grad_norm")}
ERRORS = 4
TABLE_SHARE = 0.25


def place(column, depth):
    """(layer, site, metric, param) of a column such as var_middle."""
    what, where = column.split("_")
    layer = {"first": 1, "middle": depth // 2, "last": depth}[where]
    return layer, *SITES[what], "mlp.down.weight" if what == "gw2" else None


def measure(program, job, seeds):
    """{place: [value of each seed]}"""
    text = json.dumps(job | {"seeds": list(range(seeds))})
    out = subprocess.run([program, "run", "-", "--quiet", "--format", "ndjson"], input=text, text=True,
                         capture_output=True)
    if out.returncode != 0:
        sys.exit(f"{out.stderr.strip()}\n{text}")
    values = {}
    for line in out.stdout.splitlines():
        m = json.loads(line)
        if m["type"] == "measurement":
            key = m["layer"], m["site"], m["metric"], m["param"]
            value = math.inf if m["value"] is None else float(m["value"])
            values.setdefault(key, []).append(value)
    return values


def compare(row, values, provenance):
    """Lines (column, ours, independent, sd, table, agrees, agrees with the table) of one row."""
    for column, known in row["columns"].items():
        ours = values[place(column, row["depth"])]
        mean, sd = sum(ours) / len(ours), known["sd"]
        off = abs(mean - known["mean"])
        error = ERRORS * sd * math.sqrt(1 / len(ours) + 1 / provenance["seeds"])
        agrees = off <= error + 1e-6 * abs(known["mean"]) + 1e-12
        table, near = known.get("table"), None
        if table is not None:
            allowed = ERRORS * sd * math.sqrt(1 / len(ours) + 1 / provenance["table_seeds"])
            near = abs(mean - table) <= max(allowed, TABLE_SHARE * abs(table)) + 1e-12
        yield column, mean, known["mean"], sd, table, agrees, near


def main():
    p = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    p.add_argument("--program", default="build/normscope")
    p.add_argument("--seeds", type=int, default=4)
    p.add_argument("--only", default="", help="rows whose strategy or init contains this text")
    a = p.parse_args()
    data = json.loads(ROWS.read_text())
    print(f"{'init':7s} {'strategy':36s} {'depth':>5s} {'quantity':10s} {'measured':>11s} {'independent':>11s} "
          f"{'sd':>9s} {'table':>9s}")
    count, wrong, far = 0, 0, 0
    for row in data["rows"]:
        if a.only.lower() not in f"{row['init']} {row['strategy']}".lower():
            continue
        values = measure(a.program, row["job"], a.seeds)
        for column, mean, known, sd, table, agrees, near in compare(row, values, data["provenance"]):
            count, wrong, far = count + 1, wrong + (not agrees), far + (near is False)
            note = "" if agrees else "  DOES NOT AGREE"
            note += "  not the table's" if near is False else ""
            shown = "" if table is None else f"{table:9.4g}"
            print(f"{row['init']:7s} {row['strategy']:36s} {row['depth']:5d} {column:10s} {mean:11.5g} {known:11.5g} "
                  f"{sd:9.2g} {shown:>9s}{note}", flush=True)
    print(f"{count} numbers: {count - wrong} agree with the independent implementation, {wrong} do not; "
          f"{far} are not what the table says")
    sys.exit(wrong > 0)


if __name__ == "__main__":
    main()

#!/usr/bin/env python3
"""Normscope beside the PyTorch script that does the same work: time, memory, threads, small probes.

    tests/bench/compare.py [JOB.json ...]        default: tests/jobs/{A,B,C,D}.json
        --program build/normscope   --rounds 2   --repeat 3   --no-small   --only-small   --json FILE

With PEER=/path/to/torch_probe.py in the environment (and PEER_PYTHON, the Python that has torch;
default: this one) the script is measured too, in turn with ours, so that whatever else the machine
does hits both. Without it, ours alone. Standard library only; nothing is asserted.

One thread is judged by processor time, two by wall time. The script measures moments at the branches
but neither geometry nor ranks there, which a job cannot say: its work lies between our probes
"stream" (no branches) and "script" (everything at the branches too). Peak memory is what the kernel
says of the whole process; it can not show less than this Python has, about 23 MB.
"""
import argparse
import json
import os
import re
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SITES = ["embed", "resid_mid", "resid_out", "attn_prob", "param", "attn_branch", "mlp_branch"]
METRICS = ["mean", "var", "rms", "max_abs", "kurtosis", "grad_norm", "cos_mean", "residual_1inf",
           "residual_fro", "stable_rank", "effective_rank", "effective_rank_energy",
           "participation_rank", "attn_entropy", "attn_entropy_norm", "param_weight_norm",
           "param_grad_norm"]


def environment():
    """Without the choices of a matrix kernel that a shell may carry, and without our own options."""
    drop = re.compile(r"OPENBLAS_(CORETYPE|L2_SIZE|NUM_THREADS)$|NORMSCOPE_")
    return {k: v for k, v in os.environ.items() if not drop.match(k)}


# --------------------------------------------------------------------------- processes

def run(command):
    """(wall s, processor s, peak MB) of a whole process; the end of this one when it fails."""
    with tempfile.TemporaryFile() as err:
        start = time.perf_counter()
        child = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=err, env=environment())
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - start
        child.returncode = os.waitstatus_to_exitcode(status)
        if child.returncode:
            err.seek(0)
            sys.exit("%s: status %d\n%s" % (" ".join(command), child.returncode,
                                            err.read().decode(errors="replace")[-2000:]))
    return wall, usage.ru_utime + usage.ru_stime, usage.ru_maxrss / 1024


def write_json(path, value):
    with open(path, "w") as f:
        json.dump(value, f)
    return path


def read_json(path):
    with open(path) as f:
        return json.load(f)


# --------------------------------------------------------------------------- the job in the peer's words

def translate(job):
    """Our job's first run as the peer's spec. What it leaves out is as in our preset "tiny"."""
    m, s, d = job["model"], job["strategy"], job["data"]
    first = {path: values[0] for path, values in job.get("sweep", {}).items()}
    placement = first.get("strategy.placement", s.get("placement"))
    return dict(
        name=job["name"][:40], seed=job["seeds"][0], dtype=job.get("precision", "float32"),
        family={"causal": "decoder", "bidirectional": "encoder"}[m.get("mask", "causal")],
        depth=job["depth"], d_model=m["d_model"], n_heads=m["n_heads"], d_ff=m["d_ff"],
        vocab=m["vocab"], positional=m["position"], activation=m["activation"],
        bias=m.get("bias", False), tie_embeddings=m.get("tied", True),
        qk_norm=m.get("qk_norm", False), norm=s["norm"], eps=s.get("eps", 1e-5),
        placement={"pre_ln": "pre", "post_ln": "post", "peri_ln": "peri", "none": "none"}[placement],
        init=job["init"], init_std=first.get("init.std", 0.02), batch=d["batch"],
        seq_len=d["seq_len"], n_batches=d["batches"], steps=0)


class Peer:
    def __init__(self, path, tmp):
        self.command = [os.environ.get("PEER_PYTHON", sys.executable), path]
        self.tmp = tmp

    def measure(self, spec, *arguments):
        out = os.path.join(self.tmp, "peer.json")
        usage = run(self.command + ["--spec", spec, "--out", out, *map(str, arguments)])
        return read_json(out), usage


# --------------------------------------------------------------------------- one job

class Samples(dict):
    """name -> list of numbers."""

    def add(self, name, value):
        if value is not None:
            self.setdefault(name, []).append(value)

    def median(self, name):
        return statistics.median(self[name]) if self.get(name) else None


def list_products(products):
    """The rates by layer: "fwd/dx/dw: qkv 205/198/210, wo ...; fwd/dq/dk: qk ..."."""
    layers, kinds = {}, {}
    for p in products:
        layers.setdefault(p["layer"], []).append(p)
    for name, ps in layers.items():
        rates = "%s %s" % (name, "/".join("%.0f" % p["gflops"] for p in ps))
        kinds.setdefault("/".join(p["pass"] for p in ps), []).append(rates)
    return "; ".join("%s: %s" % (kind, ", ".join(rates)) for kind, rates in kinds.items())


def add_ours(s, program, path, repeat):
    out = subprocess.run([program, "bench", path, "--threads", "2", "--repeat", str(repeat),
                          "--format", "json"], env=environment(), capture_output=True, text=True)
    if out.returncode:
        sys.exit(out.stderr)
    result = json.loads(out.stdout)
    job = result["jobs"][0]
    s.add("bound", job["bound"]["cpu_ms"])
    s.add("gflop", job["flops"] * 1e-9)
    s.products = list_products(job["products"])
    for p in job["passes"]:
        one = p["threads"] == 1
        key = "ours.%s.%d" % (p["pass"], p["threads"])
        s.add(key, p["cpu_ms" if one else "wall_ms"])
        s.add(key + ".best", p["cpu_min_ms" if one else "wall_min_ms"])
        if one:
            s.add("ours.%s.1.wall" % p["pass"], p["wall_ms"])
    return result["provenance"]


def add_peer(s, peer, spec, repeat):
    for threads, clock in ((1, "cpu"), (2, "wall")):
        out, _ = peer.measure(spec, "--threads", threads, "--clock", clock, "--repeat", repeat)
        t = out["timing_ms"]
        s.add("peer.plain.%d" % threads, t["forward_backward"])
        s.add("peer.plain.%d.best" % threads, t["forward_backward_best"])
        s.add("peer.probe.%d" % threads, t["probe"]["total"])
        s.add("peer.probe.%d.best" % threads, t["probe_best"])
        if threads == 1:
            s.add("peer.plain.1.wall", t["wall"]["plain"])
            s.add("peer.probe.1.wall", t["wall"]["probe"])


def add_process(s, key, usage):
    for name, value in zip(("wall", "cpu", "mb"), usage):
        s.add("%s.%s" % (key, name), value)


def add_start_to_result(s, program, jobs, peer, spec):
    for threads in (1, 2):
        for name, path in jobs.items():
            add_process(s, "ours.start.%s.%d" % (name, threads),
                        run([program, "run", path, "--threads", str(threads), "--format", "ndjson",
                             "--out", "/dev/null", "--quiet"]))
        if peer:
            add_process(s, "peer.start.%d" % threads,
                        peer.measure(spec, "--threads", threads, "--repeat", 0, "--mode",
                                     "probe")[1])


def measure_job(path, a, peer, tmp):
    job = read_json(path)
    spec = write_json(os.path.join(tmp, "spec.json"), translate(job)) if peer else None
    script = dict(job, measure={"sites": SITES, "metrics": METRICS})
    jobs = {"all": path, "script": write_json(os.path.join(tmp, "script.json"), script)}
    s = Samples()
    for i in range(a.rounds):
        print("%s: round %d of %d" % (job["name"], i + 1, a.rounds), file=sys.stderr)
        s.provenance = add_ours(s, a.program, path, a.repeat)
        if peer:
            add_peer(s, peer, spec, a.repeat)
        add_start_to_result(s, a.program, jobs, peer, spec)
    s.name = job["name"]
    return s


# --------------------------------------------------------------------------- table

def text(value, form):
    return form % value if value is not None else "-"


def ratio(a, b):
    return a / b if a and b else None


def line(label, ours, peer, unit, note=""):
    form = "%.2f" if unit == "s" else "%.1f"
    if unit == "x":
        print("  %-44s %10s %10s x" % (label, text(ours, "%.2f"), text(peer, "%.2f")))
        return
    print("  %-44s %10s %10s %-3s %7s  %s" % (label, text(ours, form), text(peer, form), unit,
                                              text(ratio(peer, ours), "%.2f"), note))


def with_best(s, key):
    return "best %s" % text(s.median(key + ".best"), "%.1f")


def print_passes(s, threads):
    m = s.median
    bound = m("bound") / threads
    plain, peer_plain = m("ours.plain.%d" % threads), m("peer.plain.%d" % threads)
    note = "%.2f x the products" % (plain / bound)
    if peer_plain:
        note += "; peer %.2f" % (peer_plain / bound)
    line("forward + backward", plain, peer_plain, "ms",
         note + "; " + with_best(s, "ours.plain.%d" % threads))
    for name, label in (("stream", "probe, stream only"), ("script", "probe, branches in full"),
                        ("all", "probe, all our defaults")):
        key = "ours.%s.%d" % (name, threads)
        line(label, m(key), m("peer.probe.%d" % threads), "ms",
             "metrics %.0f %% on top; %s" % (100 * (m(key) / plain - 1), with_best(s, key)))
    if threads > 1:
        line("speed-up over one thread, forward + backward",
             m("ours.plain.1.wall") / plain, ratio(m("peer.plain.1.wall"), peer_plain), "x")


def print_job(s):
    m = s.median
    print("\n  %-44s %10s %10s     peer/ours" % ("%s, %.1f GFLOP" % (s.name, m("gflop")), "ours", "peer"))
    print("  one thread, processor time")
    line("matrix products alone", m("bound"), None, "ms", "%.0f GF/s" % (m("gflop") / m("bound") * 1e3))
    print("    GF/s, " + s.products)
    print_passes(s, 1)
    print("  two threads, wall time")
    print_passes(s, 2)
    print("  whole process")
    for threads in (1, 2):
        for name, label in (("script", "branches in full"), ("all", "all our defaults")):
            key = "ours.start.%s.%d" % (name, threads)
            line("start to result, %s, %d thread%s" % (label, threads, "s" * (threads > 1)),
                 m(key + ".wall"), m("peer.start.%d.wall" % threads), "s",
                 "processor %s : %s s" % (text(m(key + ".cpu"), "%.2f"),
                                          text(m("peer.start.%d.cpu" % threads), "%.2f")))
    for threads in (1, 2):
        line("peak memory, all our defaults, %d thread%s" % (threads, "s" * (threads > 1)),
             m("ours.start.all.%d.mb" % threads), m("peer.start.%d.mb" % threads), "MB")


# --------------------------------------------------------------------------- small probes

class Daemon:
    """`normscope serve` on a free port with a database of its own."""

    def __init__(self, program, tmp, workers):
        self.log = open(os.path.join(tmp, "daemon-%d.log" % workers), "w+")
        self.process = subprocess.Popen(
            [program, "serve", "--listen", "127.0.0.1:0", "--workers", str(workers), "--db",
             os.path.join(tmp, "bench-%d.db" % workers)],
            stdout=subprocess.PIPE, stderr=self.log, env=environment(), text=True)
        self.url = None
        for out in self.process.stdout:
            found = re.search(r"dashboard\s+(http://\S+?)/?$", out)
            if found:
                self.url = found.group(1)
                break
        if not self.url:
            self.log.seek(0)
            sys.exit("the daemon did not start\n" + self.log.read())

    def ask(self, method, path, body=None):
        request = urllib.request.Request(self.url + path, method=method, data=body,
                                         headers={"Content-Type": "application/json"})
        with urllib.request.urlopen(request, timeout=60) as reply:
            content = reply.read()
        return json.loads(content) if content else None

    def compute(self, body):
        """Seconds from POST to the state done; the job is deleted afterwards, so that it can come again."""
        start = time.perf_counter()
        path = "/api/v1/jobs/%d" % self.ask("POST", "/api/v1/jobs", body)["id"]
        while True:
            state = self.ask("GET", path)["state"]
            if state == "done":
                break
            if state in ("failed", "cancelled"):
                sys.exit("the job through the daemon is %s" % state)
            time.sleep(0.02)
        took = time.perf_counter() - start
        self.ask("DELETE", path)
        return took

    def stop(self):
        self.process.terminate()
        self.process.wait()
        self.process.stdout.close()
        self.log.close()


def count_runs(job):
    n = len(job["seeds"])
    for values in job.get("sweep", {}).values():
        n *= len(values)
    return n


def measure_small(a, peer, tmp):
    path = os.path.join(ROOT, "tests/jobs/small100.json")
    job = read_json(path)
    body = open(path, "rb").read()
    cores = len(os.sched_getaffinity(0))
    s, runs = Samples(), count_runs(job)
    spec = write_json(os.path.join(tmp, "small.json"), translate(job)) if peer else None
    daemons = {n: Daemon(a.program, tmp, n) for n in sorted({1, cores})}
    try:
        for i in range(a.rounds):
            print("small probes: round %d of %d" % (i + 1, a.rounds), file=sys.stderr)
            add_process(s, "run", run([a.program, "run", path, "--threads", "1", "--format", "ndjson",
                                       "--out", "/dev/null", "--quiet"]))
            for n, daemon in daemons.items():
                s.add("daemon.%d" % n, daemon.compute(body))
            if peer:
                out, usage = peer.measure(spec, "--threads", 1, "--repeat", 20, "--mode", "probe")
                s.add("peer.probe", out["timing_ms"]["probe"]["total"] / 1e3)
                add_process(s, "peer.start", peer.measure(spec, "--threads", 1, "--repeat", 0,
                                                          "--mode", "probe")[1])
    finally:
        for daemon in daemons.values():
            daemon.stop()
    s.runs, s.daemons = runs, list(daemons)
    return s


def rate(label, runs, seconds, note=""):
    if seconds:
        print("  %-52s %8.1f runs/s  %s" % (label, runs / seconds, note))


def print_small(s):
    print("\n%d small probes (depth 12, D 64, T 64, B 4), all our defaults, wall time" % s.runs)
    rate("normscope run, one thread, start to end", s.runs, s.median("run.wall"),
         "by processor time %.1f; peak %.0f MB" % (s.runs / s.median("run.cpu"), s.median("run.mb")))
    for n in s.daemons:
        rate("daemon, %d worker%s, POST to done" % (n, "s" * (n > 1)), s.runs, s.median("daemon.%d" % n))
    rate("peer, one thread, in one process, warm", 1, s.median("peer.probe"))
    rate("peer, one thread, a process for each run", 1, s.median("peer.start.wall"))


# --------------------------------------------------------------------------- the program

def parse():
    p = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    p.add_argument("jobs", nargs="*", default=[os.path.join(ROOT, "tests/jobs", n + ".json")
                                               for n in "ABCD"])
    p.add_argument("--program", default=os.path.join(ROOT, "build/normscope"))
    p.add_argument("--rounds", type=int, default=2, help="visits to each program")
    p.add_argument("--repeat", type=int, default=3, help="passes in one visit")
    p.add_argument("--no-small", action="store_true")
    p.add_argument("--only-small", action="store_true")
    p.add_argument("--json", metavar="FILE", help="all samples, for other programs")
    return p.parse_args()


def main():
    a = parse()
    samples = {}
    if not os.access(a.program, os.X_OK):
        sys.exit("there is no program %s; run make first, or name it with --program" % a.program)
    with tempfile.TemporaryDirectory(prefix="normscope-bench-") as tmp:
        peer = Peer(os.environ["PEER"], tmp) if os.environ.get("PEER") else None
        for path in [] if a.only_small else a.jobs:
            s = samples[path] = measure_job(path, a, peer, tmp)
            if "provenance" not in samples:
                print("%(blas)s, kernel %(blas_kernel)s, %(cpu)s" % s.provenance)
                samples["provenance"] = s.provenance
            print_job(s)
            sys.stdout.flush()
        if not a.no_small:
            s = samples["small"] = measure_small(a, peer, tmp)
            print_small(s)
    if a.json:
        write_json(a.json, samples)


if __name__ == "__main__":
    main()

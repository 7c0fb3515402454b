#!/usr/bin/env python3
"""Writes tests/golden/rounding/casts.txt: what PyTorch's casts make of float32 numbers, read by
tests/core/graph/test_rounding.c. A line is "format x y", x and y the bits of float32 numbers in hex.

Numbers: every neighbour pair of the format in a sample of its binades with what lies halfway between them
and a float32 step to either side; the ends of the range; random ones over all exponents. E4M3 beyond 464
is left out: PyTorch makes NaN of it, Normscope saturates.
"""
import pathlib

import numpy as np
import torch

OUT = pathlib.Path(__file__).parent.parent / "golden" / "rounding" / "casts.txt"
FORMATS = dict(fp16=(torch.float16, 10, -14, 15), bf16=(torch.bfloat16, 7, -126, 127),
               fp8_e4m3=(torch.float8_e4m3fn, 3, -6, 8), fp8_e5m2=(torch.float8_e5m2, 2, -14, 15))


def candidates(mantissa, e_min, e_max, rng):
    binades = sorted({e_min - mantissa - 1, e_min - mantissa, e_min - 1, e_min, e_min + 1, -1, 0, 1,
                      e_max - 1, e_max, *rng.integers(e_min, e_max + 1, 8)})
    for e in binades:
        step = 2.0 ** (max(e, e_min) - mantissa)
        count = max(1, round(2.0 ** e / step))
        for k in sorted({0, 1, count - 1, *rng.integers(0, count, 6)}):
            low = np.float32(2.0 ** e + k * step)
            for x in (low, np.float32(low + step / 2)):
                yield from (np.nextafter(x, np.float32(0)), x, np.nextafter(x, np.float32(np.inf)))
    yield from rng.standard_normal(64).astype(np.float32)
    yield from (2.0 ** rng.uniform(e_min - mantissa - 4, min(e_max + 2, 127), 128)).astype(np.float32)
    yield from np.array([0.0, np.inf if mantissa != 3 else 1.0], np.float32)


def bits(x):
    return np.asarray(x, np.float32).view(np.uint32)


def main():
    rng = np.random.default_rng(0)
    lines = []
    for name, (dtype, mantissa, e_min, e_max) in FORMATS.items():
        with np.errstate(over="ignore"):
            x = np.array(sorted(set(candidates(mantissa, e_min, e_max, rng))), np.float32)
        if name == "fp8_e4m3":
            x = x[x <= 464]
        x = np.concatenate([x, -x])
        y = torch.from_numpy(x).to(dtype).to(torch.float32).numpy()
        lines += [f"{name} {a:08x} {b:08x}" for a, b in zip(bits(x), bits(y))]
    OUT.parent.mkdir(parents=True, exist_ok=True)
    OUT.write_text("\n".join(lines) + "\n")
    print(f"{len(lines):7d} casts")


if __name__ == "__main__":
    main()

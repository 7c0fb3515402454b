"""Numbers that both sides of the golden comparison compute for themselves, bit for bit.

Weights, tokens, masks, inputs and gradient seeds of a golden case come from no random generator but
from this hash of the tensor's name and the flat index (C: tests/pattern.h):

    bits(name, i) = fmix32(fnv1a32(name) + i * 0x9E3779B9)        all modulo 2^32
    unit(name, i) = (bits >> 8) / 2^23 - 1                          in [-1, 1), exact in float64

    rank-2 parameter       sqrt(3 / dims[1]) * unit                variance 1/fan_in
    rank-1 *.weight        1 + 0.2 * unit                          norm gains
    rank-1 *.bias*         0.1 * unit                              and *.shift*
    rank-1, all others     0.5 + 0.3 * unit                        what else is learned
    data.tokens            bits % vocab
    data.loss_mask         bits % 3 == 0
    data.inputs            sqrt(3) * unit
    data.grad_seed         sqrt(3 / (B T D)) * unit; grad_common: index b*D + d for every t

A sine of the flat index would make every matrix rank two; a hash does not.
Only +, *, / and sqrt touch the floats, so C and Python agree to the last bit.
"""
import math

import numpy as np


def fnv1a32(name):
    h = 0x811C9DC5
    for byte in name.encode():
        h = ((h ^ byte) * 0x01000193) & 0xFFFFFFFF
    return h


def bits(name, index):
    h = (np.asarray(index, dtype=np.uint64) * 0x9E3779B9 + fnv1a32(name)) & 0xFFFFFFFF
    h ^= h >> np.uint64(16)
    h = (h * 0x85EBCA6B) & 0xFFFFFFFF
    h ^= h >> np.uint64(13)
    h = (h * 0xC2B2AE35) & 0xFFFFFFFF
    h ^= h >> np.uint64(16)
    return h


def unit(name, index):
    return (bits(name, index) >> np.uint64(8)).astype(np.float64) / 8388608.0 - 1.0


def parameter(name, shape):
    u = unit(name, np.arange(math.prod(shape))).reshape(shape)
    if len(shape) == 2:
        return math.sqrt(3.0 / shape[1]) * u
    last = name.rsplit(".", 1)[-1]
    if last == "weight":
        return 1.0 + 0.2 * u
    return 0.1 * u if last.startswith(("bias", "shift")) else 0.5 + 0.3 * u


def tokens(batches, B, T, vocab):
    n = batches * B * (T + 1)
    return (bits("data.tokens", np.arange(n)) % vocab).astype(np.int64).reshape(batches, B, T + 1)


def loss_mask(batches, B, T):
    return (bits("data.loss_mask", np.arange(batches * B * T)) % 3 == 0).reshape(batches, B, T)


def inputs(batches, B, T, D):
    return math.sqrt(3.0) * unit("data.inputs", np.arange(batches * B * T * D)).reshape(batches, B, T, D)


def grad_seed(B, T, D, common):
    index = np.arange(B * T * D).reshape(B, T, D)
    if common:
        index = np.broadcast_to(np.arange(B * D).reshape(B, 1, D), (B, T, D))
    return math.sqrt(3.0 / (B * T * D)) * unit("data.grad_seed", index)


def projections(x):
    """Two fixed projections of a tensor, flat index i: cos(0.7 i + 0.1) and sin(1.3 i + 0.2)."""
    x = np.asarray(x, dtype=np.float64).ravel()
    i = np.arange(x.size, dtype=np.float64)
    return float(np.cos(0.7 * i + 0.1) @ x), float(np.sin(1.3 * i + 0.2) @ x)

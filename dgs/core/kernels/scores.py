"""Scores of many edges at a time: the arithmetic of `dgs.core.strategies`, bit for bit."""

import numpy as np

from dgs.core.kernels.jit import bits_float, float_bits, kernel
from dgs.core.strategies import LN2, SERIES, Strategy
from dgs.core.types import AnyArray, Int64s, UInt64s

_C = np.array(SERIES)
_BY_TIMESTAMP, _BY_WEIGHT = int(Strategy.TOPK_BY_TIMESTAMP), int(Strategy.TOPK_BY_WEIGHT)
_RANDOM, _EDGE_WEIGHT = int(Strategy.RANDOM), int(Strategy.EDGE_WEIGHT)
_SIGN = np.uint64(1 << 63)
_ONES = np.uint64((1 << 64) - 1)


@kernel
def mix(x: np.uint64) -> np.uint64:
    """See `dgs.core.partition.mix`."""
    x = x + np.uint64(0x9E3779B97F4A7C15)
    x = (x ^ (x >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return x ^ (x >> np.uint64(31))


@kernel
def ln(x: float) -> float:
    """See `dgs.core.strategies.ln`."""
    bits = float_bits(x)
    exponent = 0
    if bits >> np.uint64(52) == np.uint64(0):
        bits = float_bits(x * 2.0**54)
        exponent = -54
    exponent += int(bits >> np.uint64(52)) - 1023
    m = bits_float((bits & np.uint64((1 << 52) - 1)) | np.uint64(1023 << 52))
    if m > 1.4142135623730951:
        m = m * 0.5
        exponent += 1
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    total = _C[-1]
    for i in range(len(_C) - 2, -1, -1):
        total = total * z + _C[i]
    return exponent * LN2 + 2.0 * s * total


@kernel
def order_of_float(value: float) -> np.uint64:
    """See `dgs.core.strategies.order_of_float`."""
    bits = float_bits(value)
    if bits >> np.uint64(63):
        return bits ^ _ONES
    return bits | _SIGN


@kernel
def score_edges(
    strategy: int,
    digest: np.uint64,
    half_life: float,
    src: Int64s,
    dst: Int64s,
    timestamps: Int64s,
    weights: AnyArray,
    scores: UInt64s,
    ties: UInt64s,
) -> None:
    """Fill `scores` and `ties` (uint64 [n]) for edges (int64 [n] each); `weights` is float64 [n], or [0] where it has no part."""
    start = mix(digest)
    for i in range(len(src)):
        t = timestamps[i]
        h = mix(mix(mix(start ^ np.uint64(src[i])) ^ np.uint64(dst[i])) ^ np.uint64(t))
        ties[i] = h
        if strategy == _BY_TIMESTAMP:
            scores[i] = np.uint64(t) ^ _SIGN
            continue
        if strategy == _BY_WEIGHT:
            scores[i] = order_of_float(weights[i])
            continue
        u = (np.float64(h >> np.uint64(12)) + 0.5) * 2.0**-52
        if strategy == _RANDOM:
            scores[i] = order_of_float(u)
            continue
        weight = weights[i]
        if not weight > 0.0:
            scores[i] = np.uint64(0)
        elif strategy == _EDGE_WEIGHT:
            scores[i] = order_of_float(ln(u) / weight)
        else:
            scores[i] = order_of_float(ln(weight) + LN2 / half_life * np.float64(t) - ln(-ln(u)))

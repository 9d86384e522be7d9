"""The sampling strategies: each gives an edge a score computed from the edge and the operator alone; a row keeps the K largest.

This module holds their names, the digest that makes randomness a function of coordinates, and the arithmetic in plain Python. The
kernels in `dgs.core.kernels.scores` compute the same bits, many edges at a time.

Sources: `edge_weight` is A-Res of Efraimidis and Spirakis (2006), key u**(1/w), taken in logarithms; `time_decay` is the Gumbel
top-K of weights w * 2**(t / half_life).
"""

import hashlib
import json
import struct
from enum import IntEnum

from dgs.core.partition import MASK64, mix

LN2 = 0.6931471805599453
SERIES = tuple(1.0 / (2 * i + 1) for i in range(12))
"""Coefficients of atanh(s)/s in s²; twelve terms reach the last bit for |s| <= 0.172."""
NEVER = 0
"""The order of an edge that is never sampled (weight 0 or absent chance). No float score has these bits."""


class Strategy(IntEnum):
    """How an operator scores edges; the first three have the reference's codes."""

    TOPK_BY_TIMESTAMP = 0
    EDGE_WEIGHT = 1
    RANDOM = 2
    TOPK_BY_WEIGHT = 3
    TIME_DECAY = 4

    @property
    def label(self) -> str:
        """The name in digests, answers and documents."""
        return self.name.lower()

    @property
    def weighted(self) -> bool:
        """Whether the score depends on the edge's weight, so that an upsert may change it."""
        return self not in (Strategy.TOPK_BY_TIMESTAMP, Strategy.RANDOM)


SPELLINGS: dict[str | int, Strategy] = {
    **{s.label: s for s in Strategy},
    **{s.name: s for s in Strategy},
    0: Strategy.TOPK_BY_TIMESTAMP,
    1: Strategy.EDGE_WEIGHT,
    2: Strategy.RANDOM,
    "latest": Strategy.TOPK_BY_TIMESTAMP,
    "weighted": Strategy.EDGE_WEIGHT,
    "uniform": Strategy.RANDOM,
    "0": Strategy.TOPK_BY_TIMESTAMP,
    "1": Strategy.EDGE_WEIGHT,
    "2": Strategy.RANDOM,
}
"""Accepted spellings."""


def digest(strategy: Strategy, edge_type: str, src_type: str, *, seed: int = 0, half_life: float | None = None) -> int:
    """Return D, an operator's share of its randomness: uint64. Fanout has no part in it, so samples of two fanouts are nested."""
    what: dict[str, object] = {"direction": "out", "etype": edge_type, "src": src_type, "strategy": strategy.label}
    if half_life is not None:
        what["half_life"] = int(half_life) if half_life == int(half_life) else half_life
    text = json.dumps(what, sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    return int.from_bytes(hashlib.blake2b(text.encode(), digest_size=8).digest(), "little") ^ mix(seed)


def tie(d: int, src: int, dst: int, timestamp: int) -> int:
    """Return h, which breaks ties and is the only source of randomness: uint64 of (D, source, destination, timestamp)."""
    return mix(mix(mix(mix(d) ^ (src & MASK64)) ^ (dst & MASK64)) ^ (timestamp & MASK64))


def unit(h: int) -> float:
    """Return u = ((h >> 12) + 0.5) * 2**-52, in (0, 1)."""
    return ((h >> 12) + 0.5) * 2.0**-52


def ln(x: float) -> float:
    """Natural logarithm of a positive finite number as a fixed sequence of IEEE + − × ÷, the same bits on every machine.

    x = m * 2**e with m in [sqrt(1/2), sqrt(2)); ln m = 2 atanh(s), s = (m - 1) / (m + 1), by its series.
    """
    bits: int
    (bits,) = struct.unpack("<Q", struct.pack("<d", x))
    exponent = 0
    if bits >> 52 == 0:  # subnormal: scale it up first
        (bits,) = struct.unpack("<Q", struct.pack("<d", x * 2.0**54))
        exponent = -54
    exponent += (bits >> 52) - 1023
    m: float
    (m,) = struct.unpack("<d", struct.pack("<Q", (bits & ((1 << 52) - 1)) | (1023 << 52)))
    if m > 1.4142135623730951:
        m = m * 0.5
        exponent += 1
    s = (m - 1.0) / (m + 1.0)
    z = s * s
    total = SERIES[-1]
    for c in SERIES[-2::-1]:
        total = total * z + c
    return exponent * LN2 + 2.0 * s * total


def order_of_int(value: int) -> int:
    """Map an int64 to a uint64 of the same order."""
    return (value ^ (1 << 63)) & MASK64


def order_of_float(value: float) -> int:
    """Map a float64 to a uint64 of the same order: negative numbers have all bits flipped, others the sign bit."""
    bits: int
    (bits,) = struct.unpack("<Q", struct.pack("<d", value))
    return bits ^ MASK64 if bits >> 63 else bits | 1 << 63


def score_of_order(strategy: Strategy, bits: int) -> int | float:
    """Return the score that `order` has mapped to a uint64: an int for the newest, a float for all others."""
    if strategy is Strategy.TOPK_BY_TIMESTAMP:
        return bits - (1 << 63)
    value: float
    (value,) = struct.unpack("<d", struct.pack("<Q", bits ^ (1 << 63) if bits >> 63 else bits ^ MASK64))
    return value


def order(strategy: Strategy, h: int, timestamp: int, weight: float, half_life: float = 0.0) -> int:
    """Return an edge's score as an order-preserving uint64, or NEVER."""
    if strategy is Strategy.TOPK_BY_TIMESTAMP:
        return order_of_int(timestamp)
    if strategy is Strategy.RANDOM:
        return order_of_float(unit(h))
    if strategy is Strategy.TOPK_BY_WEIGHT:
        return order_of_float(weight)
    if not weight > 0.0:
        return NEVER
    if strategy is Strategy.EDGE_WEIGHT:
        return order_of_float(ln(unit(h)) / weight)
    return order_of_float(ln(weight) + LN2 / half_life * timestamp - ln(-ln(unit(h))))

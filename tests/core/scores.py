"""Golden vectors of hashes and scores: how `schemas/golden/scores.json` is made, in plain Python.

They fix the arithmetic for other languages and for the kernels. Whole numbers of 64 bits and bits of floats stand as texts, as JSON
numbers lose them in some languages. Set DGS_WRITE_GOLDEN=1 and run `tests/core/test_strategies.py` to write the file anew.
"""

import math
import struct
from pathlib import Path
from typing import Any

from dgs.core.partition import mix, partition_of
from dgs.core.strategies import Strategy, digest, ln, order, tie, unit

FILE = Path(__file__).parents[2] / "schemas" / "golden" / "scores.json"
LEAST, MOST = -(1 << 63), (1 << 63) - 1
IDS = [0, 1, -1, 42, -42, 1 << 32, LEAST, MOST]
EDGES = [
    (0, 0, 0),
    (1, 2, 3),
    (-1, -2, -3),
    (2, 1, 3),
    (LEAST, MOST, LEAST),
    (MOST, LEAST, MOST),
    (1, 1, 1_700_000_000_000_000_001),
    (1, 1, 1_700_000_000_000_000_002),
]
WEIGHTS = [1.0, 0.0, 0.5, 3.0, 5e-324, 2.2250738585072014e-308, 1e-5, 1e300, 1.7976931348623157e308]
LOGARITHMS = [
    *(1.0, 2.0, 0.5, math.e, 10.0, 0.1, 5e-324, 2.225073858507201e-308, 1.7976931348623157e308),
    *(2.0**-53, 1 - 2.0**-53, 1 + 2.0**-52, 1.4142135623730951, 1.414213562373095, 0.7071067811865476, 3.0, 1e-300),
]
OPERATORS: list[dict[str, Any]] = [
    {"strategy": "topk_by_timestamp", "etype": "buys", "src": "user", "seed": 0},
    {"strategy": "edge_weight", "etype": "buys", "src": "user", "seed": 0},
    {"strategy": "random", "etype": "buys", "src": "user", "seed": 0},
    {"strategy": "topk_by_weight", "etype": "buys", "src": "user", "seed": 0},
    {"strategy": "time_decay", "etype": "buys", "src": "user", "seed": 0, "half_life": 86400.0},
    {"strategy": "time_decay", "etype": "buys", "src": "user", "seed": 0, "half_life": 0.5},
    {"strategy": "random", "etype": "käuft", "src": 'nutzer "x"', "seed": 7},
    {"strategy": "edge_weight", "etype": "buys", "src": "item", "seed": -1},
]


def bits_of(value: float) -> str:
    """The bits of a float64, as a number in text."""
    bits: int
    (bits,) = struct.unpack("<Q", struct.pack("<d", value))
    return str(bits)


def float_of(bits: str) -> float:
    """The float64 of these bits."""
    value: float
    (value,) = struct.unpack("<d", struct.pack("<Q", int(bits)))
    return value


def digest_of(operator: dict[str, Any]) -> int:
    """D of an operator of the vectors."""
    strategy = Strategy[operator["strategy"].upper()]
    return digest(strategy, operator["etype"], operator["src"], seed=operator["seed"], half_life=operator.get("half_life"))


def golden() -> dict[str, Any]:
    """Compute all vectors."""
    scores = []
    for number, operator in enumerate(OPERATORS):
        strategy, d = Strategy[operator["strategy"].upper()], digest_of(operator)
        for src, dst, timestamp in EDGES:
            h = tie(d, src, dst, timestamp)
            edge = {"operator": number, "src": str(src), "dst": str(dst), "timestamp": str(timestamp)}
            for weight in WEIGHTS if strategy.weighted else WEIGHTS[:1]:
                score = order(strategy, h, timestamp, weight, operator.get("half_life", 0.0))
                scores.append(edge | {"h": str(h), "u": bits_of(unit(h)), "weight": bits_of(weight), "order": str(score)})
    partitions = [1, 2, 3, 4, 7, 64, 1000]
    return {
        "mix": [{"x": str(x), "mix": str(mix(x))} for x in IDS],
        "partition": [{"id": str(x), "partitions": p, "partition": partition_of(x, p)} for x in IDS for p in partitions],
        "ln": [{"x": bits_of(x), "ln": bits_of(ln(x))} for x in LOGARITHMS],
        "operators": [operator | {"digest": str(digest_of(operator))} for operator in OPERATORS],
        "scores": scores,
    }

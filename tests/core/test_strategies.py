"""Scores: golden vectors fix every bit, and the kernels compute what the plain twins compute."""

import json
import math
import os
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from dgs.core.kernels import scores as kernels
from dgs.core.partition import MASK64, mix, mix_array, partition_of, partitions_of
from dgs.core.strategies import NEVER, Strategy, digest, ln, order, order_of_float, order_of_int, tie, unit
from tests.core.making import INT64S
from tests.core.scores import FILE, LOGARITHMS, bits_of, float_of, golden

WEIGHTS = st.floats(0.0, allow_nan=False, allow_infinity=False) | st.sampled_from([0.0, 5e-324, 1.0, 1.7976931348623157e308])
HALF_LIVES = st.floats(1e-200, 1e200) | st.sampled_from([1.0, 86400.0, 3.6e12])
POSITIVE = st.floats(5e-324, 1.7976931348623157e308)


@pytest.fixture(scope="module")
def vectors() -> dict[str, Any]:
    if os.environ.get("DGS_WRITE_GOLDEN"):
        lists = golden().items()
        lines = [
            f"{json.dumps(name)}: [\n" + ",\n".join(json.dumps(v, sort_keys=True) for v in found) + "\n]" for name, found in lists
        ]
        FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    loaded: dict[str, Any] = json.loads(FILE.read_text())
    return loaded


def kernel_scores(
    strategy: Strategy, d: int, half_life: float, edges: list[tuple[int, int, int, float]]
) -> tuple[list[int], list[int]]:
    src, dst, timestamps = (np.array(column, np.int64) for column in list(zip(*edges, strict=True))[:3])
    weights = np.array([e[3] for e in edges], np.float64) if strategy.weighted else np.empty(0, np.float64)
    scores, ties = np.empty(len(edges), np.uint64), np.empty(len(edges), np.uint64)
    kernels.score_edges(int(strategy), np.uint64(d), half_life, src, dst, timestamps, weights, scores, ties)
    return scores.tolist(), ties.tolist()


def test_the_golden_vectors_are_what_the_plain_arithmetic_gives(vectors: dict[str, Any]) -> None:
    assert vectors == golden()


def test_the_kernels_give_the_golden_vectors(vectors: dict[str, Any]) -> None:
    for number, operator in enumerate(vectors["operators"]):
        own = [v for v in vectors["scores"] if v["operator"] == number]
        strategy, half_life = Strategy[operator["strategy"].upper()], operator.get("half_life", 0.0)
        edges = [(int(v["src"]), int(v["dst"]), int(v["timestamp"]), float_of(v["weight"])) for v in own]
        scores, ties = kernel_scores(strategy, int(operator["digest"]), half_life, edges)
        assert scores == [int(v["order"]) for v in own]
        assert ties == [int(v["h"]) for v in own]
    assert [bits_of(kernels.ln(float_of(v["x"]))) for v in vectors["ln"]] == [v["ln"] for v in vectors["ln"]]
    xs = np.array([int(v["x"]) for v in vectors["mix"]], np.int64)
    assert mix_array(xs).tolist() == [int(v["mix"]) for v in vectors["mix"]]
    for v in vectors["partition"]:
        assert partitions_of(np.array([int(v["id"])]), v["partitions"]).tolist() == [v["partition"]]


def test_known_values_pin_the_formulas_of_the_design() -> None:
    assert mix(0) == 0xE220A8397B1DCDAF, "the first output of splitmix64 of seed 0"
    assert partition_of(-1, 7) == mix((1 << 64) - 1) % 7
    assert tie(1, -2, 3, -4) == mix(mix(mix(mix(1) ^ (MASK64 - 1)) ^ 3) ^ (MASK64 - 3))
    assert (unit(0), unit(MASK64)) == (2.0**-53, 1 - 2.0**-53)
    assert order(Strategy.RANDOM, MASK64, 0, 1.0) == order_of_float(1 - 2.0**-53)
    assert order(Strategy.TOPK_BY_TIMESTAMP, 0, -1, 1.0) == (1 << 63) - 1
    assert order(Strategy.TIME_DECAY, 1 << 63, 10, 2.0, 5.0) == order_of_float(
        ln(2.0) + 0.6931471805599453 / 5.0 * 10 - ln(-ln(0.5 + 2.0**-53))
    )


def test_a_digest_knows_names_half_life_and_seed_but_no_fanout() -> None:
    one = digest(Strategy.RANDOM, "e", "s")
    assert digest(Strategy.RANDOM, "e", "s", seed=5) == one ^ mix(0) ^ mix(5)
    assert digest(Strategy.TIME_DECAY, "e", "s", half_life=5) == digest(Strategy.TIME_DECAY, "e", "s", half_life=5.0)
    different = [one, digest(Strategy.RANDOM, "s", "e"), digest(Strategy.EDGE_WEIGHT, "e", "s"), digest(Strategy.RANDOM, "é", "s")]
    assert len({*different, *(digest(Strategy.TIME_DECAY, "e", "s", half_life=x) for x in (5, 5.5))}) == 6


@settings(max_examples=300, deadline=None)
@given(
    st.sampled_from(list(Strategy)),
    st.integers(0, MASK64),
    HALF_LIVES,
    st.lists(st.tuples(INT64S, INT64S, INT64S, WEIGHTS), min_size=1, max_size=5),
)
def test_kernels_compute_the_bits_of_the_plain_twin(
    strategy: Strategy, d: int, half_life: float, edges: list[tuple[int, int, int, float]]
) -> None:
    ties = [tie(d, src, dst, timestamp) for src, dst, timestamp, _ in edges]
    plain = [order(strategy, h, e[2], e[3], half_life) for h, e in zip(ties, edges, strict=True)]
    assert kernel_scores(strategy, d, half_life, edges) == (plain, ties)


@pytest.mark.parametrize("strategy", [Strategy.EDGE_WEIGHT, Strategy.TIME_DECAY])
def test_weight_0_and_only_that_is_never_sampled(strategy: Strategy) -> None:
    for h in (0, 1, MASK64):
        assert order(strategy, h, 5, 0.0, 1e-200) == NEVER
        assert all(order(strategy, h, t, w, 1e-200) != NEVER for w in (5e-324, 1.0, 1e308) for t in (-(1 << 63), 0, 1 << 62))
    assert order(Strategy.TOPK_BY_WEIGHT, 0, 5, 0.0) != NEVER


def ulps(a: float, b: float) -> int:
    return abs(order_of_float(a) - order_of_float(b))


@settings(max_examples=2000, deadline=None)
@given(POSITIVE | st.floats(0.5, 2.0) | st.integers(0, MASK64).map(unit))
def test_ln_is_within_4_ulp_of_the_library(x: float) -> None:
    assert ulps(ln(x), math.log(x)) <= 4
    assert bits_of(kernels.ln(x)) == bits_of(ln(x))


@pytest.mark.parametrize("x", LOGARITHMS)
def test_ln_is_accurate_at_its_seams(x: float) -> None:
    assert ulps(ln(x), math.log(x)) <= 4


@settings(max_examples=500, deadline=None)
@given(st.floats(allow_nan=False), st.floats(allow_nan=False))
def test_bits_of_floats_keep_their_order(a: float, b: float) -> None:
    if a < b:
        assert order_of_float(a) < order_of_float(b)
    assert 0 < order_of_float(a) <= MASK64
    assert int(kernels.order_of_float(a)) == order_of_float(a)


@settings(max_examples=200, deadline=None)
@given(INT64S, INT64S)
def test_bits_of_integers_keep_their_order(a: int, b: int) -> None:
    assert (a < b) == (order_of_int(a) < order_of_int(b))


@settings(max_examples=200, deadline=None)
@given(st.lists(INT64S, max_size=8), st.integers(1, 1 << 40))
def test_many_vertices_are_partitioned_as_each_alone(ids: list[int], partitions: int) -> None:
    found = partitions_of(np.array(ids, np.int64), partitions).tolist()
    assert found == [partition_of(v, partitions) for v in ids]
    assert all(0 <= p < partitions for p in found)


def test_a_log_of_weights_and_time_keep_nanoseconds_apart() -> None:
    now = 1_700_000_000_000_000_000
    assert order(Strategy.TOPK_BY_TIMESTAMP, 0, now, 1.0) + 1 == order(Strategy.TOPK_BY_TIMESTAMP, 0, now + 1, 1.0)

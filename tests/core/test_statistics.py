"""Samples follow the law of their strategy: chi-square tests over all K-subsets, at a level that a fixed seed passes for ever.

Many sources, each with the same edges, are the repetitions; the sample is what a reservoir holds after all edges were offered.
"""

from collections import Counter, defaultdict
from collections.abc import Sequence
from itertools import combinations, pairwise, permutations

import numpy as np
import pytest
from scipy.stats import chisquare

from dgs.core.reservoir import EdgeColumns, Reservoir
from dgs.core.strategies import Strategy
from dgs.core.types import Int32s, Int64s
from tests.core.making import EDGE_LAYOUT, operator

SOURCES = 6000
LEVEL = 1e-4
"""A right sample is refused with this chance, were the seed not fixed."""
WEIGHTS = [1.0, 2.0, 0.5, 4.0, 1.0]
TIMESTAMPS = [0, 10, 25, 5, 40]
HALF_LIFE = 10.0
EVEN = [1.0] * len(WEIGHTS)
DECAYED = [w * 2 ** (t / HALF_LIFE) for w, t in zip(WEIGHTS, TIMESTAMPS, strict=True)]


def samples(strategy: Strategy, k: int, seed: int, weights: Sequence[float] = WEIGHTS) -> list[tuple[int, ...]]:
    """The destinations that each of the sources keeps, best first."""
    half_life = HALF_LIFE if strategy is Strategy.TIME_DECAY else None
    reservoir = Reservoir(operator(strategy, k, seed=seed, half_life=half_life), EDGE_LAYOUT)
    n = len(weights)
    vertices: Int32s = np.repeat(np.arange(1, SOURCES + 1, dtype=np.int32), n)
    dst: Int64s = np.tile(np.arange(n), SOURCES)
    payload = EDGE_LAYOUT.pack(n * SOURCES, {"weight": (np.tile(np.array(weights), SOURCES), None)})
    reservoir.offer(
        vertices, EdgeColumns(vertices.astype(np.int64), dst, np.tile(np.array(TIMESTAMPS), SOURCES), payload), dst_type=1
    )
    rows = reservoir.rows
    counts = rows.counts[rows.row_of[1 : SOURCES + 1]]
    assert (counts == min(k, np.count_nonzero(weights))).all()
    slots = rows.slots["dst"][: (SOURCES + 1) * k].reshape(-1, k)[rows.row_of[1 : SOURCES + 1]]
    return [tuple(row[:count].tolist()) for row, count in zip(slots, counts, strict=True)]


def successive(weights: Sequence[float], k: int) -> dict[tuple[int, ...], float]:
    """Chance of every ordered sample that is drawn one after another, each with a chance proportional to its weight."""
    law = {}
    for drawn in permutations(range(len(weights)), k):
        chance, left = 1.0, sum(weights)
        for i in drawn:
            chance *= weights[i] / left
            left -= weights[i]
        law[drawn] = chance
    return law


def p_of_subsets(found: list[tuple[int, ...]], weights: Sequence[float]) -> float:
    """How likely so large a difference from the law of weights is, over the sets that were kept."""
    law: defaultdict[tuple[int, ...], float] = defaultdict(float)
    for drawn, chance in successive(weights, len(found[0])).items():
        law[tuple(sorted(drawn))] += chance
    seen = Counter(tuple(sorted(s)) for s in found)
    assert set(seen) <= set(law)
    keys = sorted(law)
    return float(chisquare([seen[key] for key in keys], [law[key] * len(found) for key in keys]).pvalue)


def p_of_orders(found: list[tuple[int, ...]], weights: Sequence[float]) -> float:
    """The same over the order in which they stand: the best first is the first drawn."""
    law, seen = successive(weights, len(found[0])), Counter(found)
    return float(chisquare([seen[key] for key in law], [chance * len(found) for chance in law.values()]).pvalue)


LAWS = [(Strategy.RANDOM, EVEN), (Strategy.EDGE_WEIGHT, WEIGHTS), (Strategy.TIME_DECAY, DECAYED)]


@pytest.mark.parametrize(("strategy", "law"), LAWS)
@pytest.mark.parametrize("k", [1, 2, 3])
@pytest.mark.parametrize("seed", [0, 1])
def test_every_subset_has_the_chance_that_the_strategy_promises(strategy: Strategy, law: list[float], k: int, seed: int) -> None:
    found = samples(strategy, k, seed)
    assert p_of_subsets(found, law) > LEVEL
    assert p_of_orders(found, law) > LEVEL


@pytest.mark.parametrize(("strategy", "law"), LAWS)
def test_single_edges_are_kept_as_often_as_promised(strategy: Strategy, law: list[float]) -> None:
    found = samples(strategy, 2, seed=2)
    inclusion = [sum(c for drawn, c in successive(law, 2).items() if i in drawn) for i in range(len(law))]
    kept = Counter(i for s in found for i in s)
    for i, chance in enumerate(inclusion):
        spread = (chance * (1 - chance) / SOURCES) ** 0.5
        assert abs(kept[i] / SOURCES - chance) < 4.5 * spread


@pytest.mark.parametrize(
    ("strategy", "wrong"),
    [
        (Strategy.RANDOM, WEIGHTS),
        (Strategy.EDGE_WEIGHT, EVEN),
        (Strategy.EDGE_WEIGHT, [w * w for w in WEIGHTS]),
        (Strategy.TIME_DECAY, WEIGHTS),
        (Strategy.TIME_DECAY, [d / w for d, w in zip(DECAYED, WEIGHTS, strict=True)]),
        (Strategy.TIME_DECAY, [w * np.e ** (t / HALF_LIFE) for w, t in zip(WEIGHTS, TIMESTAMPS, strict=True)]),
    ],
)
def test_the_test_notices_a_law_that_is_not_the_strategys(strategy: Strategy, wrong: list[float]) -> None:
    assert p_of_subsets(samples(strategy, 2, seed=0), wrong) < 1e-12


@pytest.mark.parametrize("strategy", [Strategy.EDGE_WEIGHT, Strategy.TIME_DECAY])
def test_edges_of_weight_0_are_not_sampled_and_do_not_disturb_the_others(strategy: Strategy) -> None:
    weights = [1.0, 0.0, 2.0, 0.0, 4.0]
    assert {i for s in samples(strategy, 5, 0, weights) for i in s} == {0, 2, 4}
    decayed = [w * 2 ** (t / HALF_LIFE) for w, t in zip(weights, TIMESTAMPS, strict=True)]
    live = [x for x in (weights if strategy is Strategy.EDGE_WEIGHT else decayed) if x]
    assert p_of_orders([tuple(i // 2 for i in s) for s in samples(strategy, 2, 0, weights)], live) > LEVEL


def test_two_seeds_and_two_sources_are_sampled_independently() -> None:
    one, two = samples(Strategy.RANDOM, 1, 0), samples(Strategy.RANDOM, 1, 1)
    pairs = list(combinations(range(5), 1))
    together = Counter(zip(one, two, strict=True))
    assert chisquare([together[a, b] for a in pairs for b in pairs]).pvalue > LEVEL
    neighbours = Counter(pairwise(one))
    assert chisquare([neighbours[a, b] for a in pairs for b in pairs]).pvalue > LEVEL


@pytest.mark.parametrize("strategy", list(Strategy))
def test_a_smaller_fanout_takes_a_prefix_of_a_larger_one(strategy: Strategy) -> None:
    small, large = samples(strategy, 2, 0), samples(strategy, 4, 0)
    assert all(b[:2] == a for a, b in zip(small, large, strict=True))

"""Every answer of the machines is the oracle's, whatever the plan, the history, the order of steps, and the crashes."""

import random
from typing import Any

from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from dgs.testing.graph import Edge, Raw
from tests.machines.plans import histories, plans
from tests.machines.world import SEEDS, World

COUNTS = st.tuples(st.integers(1, 3), st.integers(1, 3))


@settings(max_examples=250, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    plan=plans(),
    history=histories(),
    counts=COUNTS,
    idle_items=st.sampled_from([1, 3, 50]),
    crashes=st.booleans(),
    schedule=st.integers(0, 2**32),
)
def test_answers_equal_the_oracle(
    plan: dict[str, Any], history: list[list[Raw]], counts: tuple[int, int], idle_items: int, crashes: bool, schedule: int
) -> None:
    rnd = random.Random(schedule)
    world = World(rnd, plan, *counts, idle_items)
    barriers = 0
    rounds = world.rounds
    for batch in history:
        world.load(batch)
        for _ in range(rnd.choice([0, 0, 3, 20])):
            if steps := world.steps(crashes):
                step, argument = rnd.choice(steps)
                step(argument)
        if rnd.random() < 0.1:
            barriers += 1
            world.barrier(barriers, rounds)
    barriers += 1
    world.barrier(barriers, rounds)
    world.run(crashes=crashes)
    world.check_answers(SEEDS)
    world.check_quiet()
    for serving in world.servings:
        assert serving.rounds == dict.fromkeys(range(1, barriers + 1), rounds)


def test_a_leaf_without_slots_can_be_unsubscribed_after_a_restart() -> None:
    """Its row is stored for its subscribers alone, and its vertex stands beyond what the row table has room for."""
    first = {"key": "vtype", "value": 1}
    edge = {"etype": 1, "vtype": 1, "strategy": "latest", "fanout": 1}
    nodes = [
        {"id": 0, "kind": "SOURCE", "params": [first], "links": [{"node": 1}]},
        *(
            {
                "id": n,
                "kind": "EDGE_SAMPLER",
                "params": [{"key": k, "value": v} for k, v in edge.items()],
                "links": [{"node": n + 1, "src_output": 1}] if n == 1 else [],
            }
            for n in (1, 2)
        ),
    ]
    world = World(random.Random(3), {"query_plan": {"plan_nodes": nodes}}, 1, 1, idle_items=1)
    leaves = range(100, 3100)
    world.load([Edge(1, 1, v % 7, 1, v, v) for v in leaves])
    world.run()
    world.cut(0)
    world.commit(0)
    world.crash_sampler(0)
    world.load([Edge(1, 1, v, 1, 50, 10_000) for v in range(7)])
    world.run()
    world.check_answers(range(7))
    world.check_quiet()

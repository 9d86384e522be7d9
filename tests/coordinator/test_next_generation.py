"""What the coordinator of a new generation begins with: queries and dimensions stand, barriers are to be written again."""

import json

from dgs.coordinator.state import of_next_generation, read_state
from tests.coordinator.conftest import Document, Start


async def test_orders_are_numbered_anew_and_barriers_come_last(start: Start, document: Document) -> None:
    c = await start()
    await c.install(document(), "clicks")
    await c.set_barrier("early")
    await c.propose_dimension("vertex", 0, 2, 8)
    await c.set_barrier("half", 2, 0)
    await c.install(document(query_id=1, fanout=3))
    await c.set_barrier("late")
    await c.report(0, 1, 1)
    state, _ = await c.at_one_moment()
    old = read_state(state)
    new = of_next_generation(old, 5)
    assert read_state(json.loads(json.dumps(new.to_json()))) == new
    assert [(q.number, q.name) for q in new.queries] == [(1, "clicks"), (3, "q1")]
    assert [d.number for d in new.dimensions] == [2]
    assert (new.written, new.last) == (3, 5)
    assert new.confirmed() == old.confirmed()
    assert [(i.number, i.body["id"]) for i in new.pending()] == [(4, 1), (5, 2)]
    assert {name: (b.number, b.completed) for name, b in new.barriers.items()} == {
        "early": (4, (0,) * 5),
        "half": (0, ()),
        "late": (5, (0,) * 5),
    }
    assert new.barriers["half"].loaders == {0}

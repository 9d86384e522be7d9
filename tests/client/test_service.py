"""The client against real processes: binary answers are the JSON answers, alone and in batches, for every seed."""

import gzip
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from dgs_client import Client, ConflictError, InputError, NotFoundError

from dgs.cli.examples import example
from tests.e2e.inputs import Graph, of_files
from tests.e2e.processes import run
from tests.e2e.service import Service

pytestmark = pytest.mark.slow
ROOT = Path(__file__).parents[2]
JODIE_PATTERN = "#VERTEX:user,#ID,vec\n#VERTEX:page,#ID,timestamp,vec\n#EDGE:edits,#SRC:user,#DST:page,timestamp,weight\n"


def shop(folder: Path) -> tuple[Graph, list[int]]:
    """The made-up shop, and all its users, and one more."""
    sizes = ["--user-num", 60, "--item-num", 300, "--streaming-epoch", 400]
    assert run("dgs", "generate", "u2i", *sizes, "--output-dir", "u2i", cwd=folder).code == 0
    query = folder / "u2i.json"
    query.write_bytes((example("u2i") / "query.json").read_bytes())
    streaming = folder / "u2i" / "streaming"
    graph = of_files(example("u2i") / "schema.json", query, streaming / "u2i.pattern", streaming / "u2i.streaming", "i2i")
    return graph, graph.seeds()


def jodie(folder: Path) -> tuple[Graph, list[int]]:
    """Edits of Wikipedia pages, with a record of every other page; and some of their users, and one more."""
    with gzip.open(ROOT / "tests" / "data" / "jodie-wikipedia-20000.txt.gz", "rt") as file:
        triples = [tuple(map(int, line.split())) for line in file]
    lines = [f"user,{u},{u % 100}.5:0.25" for u in sorted({u for u, _, _ in triples})]
    lines += [f"page,{p},7,{p % 100}.5:0.125" for p in sorted({p for _, p, _ in triples})[::2]]
    lines += [f"edits,{u},{p},{t},{1 + (31 * u + 17 * p + t) % 5}" for u, p, t in triples]
    (folder / "jodie.pattern").write_text(JODIE_PATTERN)
    (folder / "jodie.data").write_text("\n".join(lines) + "\n")
    query = folder / "jodie.json"
    query.write_bytes((ROOT / "tests" / "workers" / "jodie.query.json").read_bytes())
    schema = ROOT / "tests" / "workers" / "jodie.schema.json"
    graph = of_files(schema, query, folder / "jodie.pattern", folder / "jodie.data", "edits")
    return graph, [*sorted({u for u, _, _ in triples})[:: len(triples) // 2000], 1 << 40]


class Loaded:
    """A service with a graph in it, a client of it, and the positions that the loader printed."""

    def __init__(self, service: Service, graph: Graph, seeds: list[int], client: Client, tokens: str) -> None:
        self.service, self.graph, self.seeds, self.client, self.tokens = service, graph, seeds, client, tokens
        self.feature = next(a.name for a in graph.schema.vertex_types[0].attributes if a.value_type.is_list)

    def json(self, vids: list[int], **more: Any) -> list[dict[str, Any]]:
        """Return the JSON answers."""

        reply = self.service.request("POST", "/samples", json.dumps({"vids": vids, **more}).encode())
        assert reply.status == 200, reply.text
        found: list[dict[str, Any]] = reply.json()["samples"]
        return found


@pytest.fixture(scope="module", params=[shop, jodie], ids=["shop", "jodie"])
def loaded(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Loaded]:
    graph, seeds = request.param(tmp_path_factory.mktemp("graph"))
    service = Service(tmp_path_factory.mktemp("service"), *graph.start_flags)
    try:
        service.start()
        reversed_edges = ["--reversed-edges", ";".join(graph.reversed_edges)]
        ended = service.load(graph.pattern_file, graph.data_file, *reversed_edges, "--barrier", "loaded")
        assert ended.code == 0, ended.err
        with Client(service.url) as client:
            assert client.wait_barrier("loaded", 60).ready
            yield Loaded(service, graph, seeds, client, ended.out)
    finally:
        service.stop()


def same(got: dict[str, Any], want: dict[str, Any]) -> bool:
    """Whether two answers are one, but for how far the logs have been read meanwhile."""
    return len(got["positions"]) == len(want["positions"]) and got | {"positions": 0} == want | {"positions": 0}


def test_one_seed_at_a_time(loaded: Loaded) -> None:
    seeds = loaded.seeds if len(loaded.seeds) <= 80 else loaded.seeds[::4]
    for seed, want in zip(seeds, loaded.json(seeds), strict=True):
        assert same(loaded.client.samples(seed).to_dict(), want), seed


@pytest.mark.parametrize("scores", [False, True], ids=["", "scores"])
@pytest.mark.parametrize("fanouts", [None, [4, 2], [1, 5], [3, 0]], ids=str)
def test_all_seeds_at_once(loaded: Loaded, fanouts: list[int] | None, scores: bool) -> None:
    batch = loaded.client.samples_many(loaded.seeds, loaded.graph.query.name, fanouts=fanouts, scores=scores)
    more: dict[str, Any] = {} if fanouts is None else {"fanouts": fanouts}
    answers = loaded.json(loaded.seeds, scores=scores, **more)
    assert sum(map(len, (e.edges[0] for e in batch))) > len(loaded.seeds) / 2
    for ego, want in zip(batch, answers, strict=True):
        assert same(ego.to_dict(), want), ego


def test_requests_are_split_and_joined(loaded: Loaded) -> None:
    seeds = [*loaded.seeds[:20], *loaded.seeds[:5]]
    with Client(loaded.service.url, seeds_max=7) as client:
        for ego, want in zip(client.samples_many(seeds), loaded.json(seeds), strict=True):
            assert same(ego.to_dict(), want), ego


def test_dense_and_merged_agree_with_the_ego_graphs(loaded: Loaded) -> None:
    batch = loaded.client.samples_many(loaded.seeds)
    seeds, first, second = batch.dense(fanouts=[10, 5], attributes=[loaded.feature])
    merged = batch.merged()
    rows = merged.vertices[merged.seed_type].ids[merged.seed_rows]
    assert seeds.ids.tolist() == rows.tolist() == loaded.seeds
    assert first.mask.any()
    assert second.mask.any()
    for b, ego in enumerate(batch):
        alone = ego.dense(fanouts=[10, 5], attributes=[loaded.feature])
        for hop, own in zip((seeds, first, second), alone, strict=True):
            np.testing.assert_array_equal(hop.ids[b], own.ids[0])
            np.testing.assert_array_equal(hop.features[loaded.feature][b], own.features[loaded.feature][0])


def test_positions_are_waited_for(loaded: Loaded) -> None:
    loaded.client.wait_position(loaded.tokens, 30)
    ego = loaded.client.samples(loaded.seeds[0], min_position=loaded.tokens, timeout_ms=30_000)
    reflected = {t.partition: t.position for t in ego.reflected}
    told = [line.split(":") for line in loaded.tokens.split()]
    assert all(reflected[int(partition)] >= int(position) for _, partition, position in told)
    assert loaded.client.samples(loaded.seeds[0], min_position=ego.reflected, timeout_ms=30_000).seed == ego.seed
    with pytest.raises(ConflictError, match="beyond the end"):
        loaded.client.samples(loaded.seeds[0], min_position=f"1:0:{1 << 40}")
    with pytest.raises(ConflictError, match="beyond the end"):
        loaded.client.wait_position(f"1:0:{1 << 40}", 30)


def test_what_a_service_refuses(loaded: Loaded) -> None:
    client = loaded.client
    with pytest.raises(NotFoundError, match="no query 'nothing'"):
        client.samples(1, "nothing")
    with pytest.raises(InputError, match="fanouts"):
        client.samples(1, fanouts=[1])
    with pytest.raises(InputError, match="beyond int64"):
        client.samples(1 << 63)


def test_the_control_plane(loaded: Loaded) -> None:
    client, query = loaded.client, loaded.graph.query
    (shown,) = client.queries()
    assert (shown.id, shown.name, shown.ready) == (query.id, query.name, True)
    assert client.install_query(loaded.graph.query_file) == client.queries()[0]
    assert client.query(query.name).document == dict(query.plan.document)
    assert client.set_barrier("once more").count == 1
    assert client.wait_barrier("once more", 30).loaders == (0,)
    assert client.barrier("never").state == "NOT_SET"
    assert client.schema() == dict(loaded.graph.schema.document)
    assert client.cluster()["queries"] == [{"id": query.id, "name": query.name, "ready": True}]

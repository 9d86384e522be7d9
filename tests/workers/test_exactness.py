"""u2i and JODIE Wikipedia, as files through the loader and the workers: every seed's answer is the oracle's.

For each of the five strategies; in file order, shuffled, and with everything sent twice.
"""

import gzip
import json
import random
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from dgs.core.operators import InstalledQuery, OperatorSet
from dgs.core.query import parse_query
from dgs.core.schema import Schema
from dgs.core.strategies import Strategy
from dgs.demo.u2i import generate
from dgs.testing.oracle import Expected, Oracle
from tests.workers.deployment import running

HERE = Path(__file__).parent
SCHEMAS = HERE.parents[1] / "schemas"


@dataclass
class Dataset:
    """Lines of a data file, how to read them, and the raw records that they mean."""

    schema: Schema
    plan: dict[str, Any]
    pattern: str
    lines: list[str]
    reversed_edges: tuple[int, ...]
    seeds: list[int]

    def oracle(self) -> Oracle:
        """Read the lines once more, in the plainest way, into an oracle."""
        oracle = Oracle(self.schema)
        columns = {line.split(",")[0].split(":")[1]: line.split(",") for line in self.pattern.splitlines()}
        for line in self.lines:
            fields = line.split(",")
            names = columns[fields[0]]
            values = {n: v for n, v in zip(names, fields, strict=True) if not n.startswith("#") and v}
            timestamp = int(values.pop("timestamp", 0))
            attributes: dict[str, Any] = {
                n: [float(np.float32(x)) for x in v.split(":")] if n in ("vec", "feature") else float(np.float32(v))
                for n, v in values.items()
            }
            if names[0].startswith("#VERTEX"):
                oracle.vertex(self.schema.vertex_names[fields[0]].id, int(fields[1]), timestamp, attributes)
                continue
            etype = self.schema.edge_names[fields[0]].id
            src_type, dst_type = (self.schema.vertex_names[names[i].split(":")[1]].id for i in (1, 2))
            src, dst = int(fields[1]), int(fields[2])
            oracle.edge(etype, src_type, src, dst_type, dst, timestamp, attributes)
            if etype in self.reversed_edges:
                oracle.edge(etype, dst_type, dst, src_type, src, timestamp, attributes)
        return oracle

    def query(self, strategy: Strategy) -> str:
        """The plan's document with every edge node sampling by this strategy."""
        document = json.loads(json.dumps(self.plan))
        for node in document["query_plan"]["plan_nodes"]:
            if node["kind"] == "EDGE_SAMPLER":
                params = [p for p in node["params"] if p["key"] != "strategy"]
                params.append({"key": "strategy", "value": strategy.label})
                if strategy is Strategy.TIME_DECAY:
                    params.append({"key": "half_life", "value": 50000})
                node["params"] = params
        return json.dumps(document)


@pytest.fixture(scope="module")
def u2i(tmp_path_factory: pytest.TempPathFactory) -> Dataset:
    folder = tmp_path_factory.mktemp("u2i")
    generate(folder, user_num=60, item_num=600, feature_num=4, streaming_epoch=600, seed=3)
    schema = Schema.parse((SCHEMAS / "u2i" / "schema.json").read_text())
    plan = json.loads((SCHEMAS / "u2i" / "query.json").read_text())
    pattern = (folder / "streaming" / "u2i.pattern").read_text()
    lines = (folder / "streaming" / "u2i.streaming").read_text().splitlines()
    return Dataset(schema, plan, pattern, lines, (schema.edge_names["i2i"].id,), list(range(-1, 61)))


@pytest.fixture(scope="module")
def jodie() -> Dataset:
    schema = Schema.parse((HERE / "jodie.schema.json").read_text())
    pattern = "#VERTEX:user,#ID,vec\n#VERTEX:page,#ID,timestamp,vec\n#EDGE:edits,#SRC:user,#DST:page,timestamp,weight\n"
    plan = json.loads((HERE / "jodie.query.json").read_text())
    with gzip.open(HERE.parent / "data" / "jodie-wikipedia-20000.txt.gz", "rt") as file:
        triples = [tuple(map(int, line.split())) for line in file]
    lines = [f"user,{u},{u % 100}.5:0.25" for u in sorted({u for u, _, _ in triples})]
    lines += [f"page,{p},7,{p % 100}.5:0.125" for p in sorted({p for _, p, _ in triples})[::2]]
    lines += [f"edits,{u},{p},{t},{1 + (31 * u + 17 * p + t) % 5}" for u, p, t in triples]
    return Dataset(schema, plan, pattern, lines, (schema.edge_names["edits"].id,), sorted({u for u, _, _ in triples}))


@pytest.fixture(params=["u2i", "jodie"])
def dataset(request: pytest.FixtureRequest) -> Dataset:
    found: Dataset = request.getfixturevalue(request.param)
    return found


def orders(lines: list[str]) -> Iterator[tuple[str, list[str]]]:
    yield "file", lines
    yield "shuffled", random.Random(5).sample(lines, len(lines))
    yield "twice", [line for i in range(0, len(lines), 50) for line in lines[i : i + 50] * 2]


@pytest.mark.slow
@pytest.mark.parametrize("strategy", list(Strategy), ids=lambda s: s.label)
async def test_every_seed_equals_the_oracle(dataset: Dataset, strategy: Strategy, tmp_path: Path) -> None:
    document = dataset.query(strategy)
    plan = parse_query(document, dataset.schema)
    query: InstalledQuery = OperatorSet().install("q", plan, dataset.schema).queries[0]
    for name, lines in orders(dataset.lines):
        loaded = Dataset(dataset.schema, dataset.plan, dataset.pattern, lines, dataset.reversed_edges, dataset.seeds)
        oracle = loaded.oracle()
        (tmp_path / name).mkdir()
        async with running(dataset.schema, document, tmp_path / name) as deployment:
            await deployment.load(dataset.pattern, lines, reversed_edges=dataset.reversed_edges, barrier=name)
            for seed in dataset.seeds:
                got: Expected = deployment.answer(seed)
                want = oracle.ego_graph(query, seed)
                assert dict(got.rows) == dict(want.rows), f"{name}: rows of seed {seed}"
                assert got.vertices == want.vertices, f"{name}: vertices of seed {seed}"

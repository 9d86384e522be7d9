"""The u2i generator: the reference's counts and rules, and the same files for the same seed."""

import hashlib
import json
from pathlib import Path

import pytest
from dgs_loader.parser import Parser
from dgs_loader.pattern import PatternFile
from dgs_loader.reader import Block

from dgs.core.errors import InputError
from dgs.core.layout import Dimension, Layouts
from dgs.core.schema import Schema
from dgs.demo.u2i import generate

SCHEMAS = Path(__file__).parents[1] / "schemas" / "u2i"


def digest(folder: Path) -> str:
    files = sorted(p for p in folder.rglob("*") if p.is_file())
    return hashlib.sha256(b"".join(p.name.encode() + p.read_bytes() for p in files)).hexdigest()


def table(path: Path) -> tuple[str, list[list[str]]]:
    header, *rows = path.read_text().splitlines()
    return header, [row.split("\t") for row in rows]


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("u2i") / "new"
    assert generate(folder).lines == 17_545
    return folder


def test_training_tables_have_the_counts_and_headers_of_the_reference(made: Path) -> None:
    assert sorted(p.name for p in (made / "training").iterdir()) == ["i2i.txt", "item.txt", "u2i.txt", "user.txt"]
    for name, count in (("user", 100), ("item", 1000)):
        header, rows = table(made / "training" / f"{name}.txt")
        assert header == "id:int64\tfeature:string"
        assert [int(row[0]) for row in rows] == list(range(count))
        for _, feature in rows:
            values = feature.split(":")
            assert len(values) == 10
            assert all(len(v) == 5 and 0 <= float(v) <= 1 for v in values)
    for name, count in (("u2i", 1500), ("i2i", 9945)):
        header, rows = table(made / "training" / f"{name}.txt")
        assert header == "src_id:int64\tdst_id:int64\tweight:float"
        assert len(rows) == count
        assert all(0 <= float(row[2]) <= 4 for row in rows)
        assert {int(float(row[2])) for row in rows} >= {0, 1, 2, 3}


def test_initial_edges_follow_the_grid(made: Path) -> None:
    _, u2i = table(made / "training" / "u2i.txt")
    assert [(int(s), int(d)) for s, d, _ in u2i] == [(u, (u * 10 + k) % 1000) for u in range(100) for k in range(15)]
    _, i2i = table(made / "training" / "i2i.txt")
    assert [(int(s), int(d)) for s, d, _ in i2i] == [(s, d) for s in range(1000) for d in range(s + 1, min(s + 11, 1000))]


def test_streaming_is_the_start_at_0_and_five_updates_per_epoch(made: Path) -> None:
    lines = [line.split(",") for line in (made / "streaming" / "u2i.streaming").read_text().splitlines()]
    start, updates = lines[:12_545], lines[12_545:]
    for name, id_columns in (("user", 1), ("item", 1), ("u2i", 2), ("i2i", 2)):
        _, rows = table(made / "training" / f"{name}.txt")
        assert [row[1:] for row in start if row[0] == name] == [[*r[:id_columns], "0", *r[id_columns:]] for r in rows]
    assert len(updates) == 5000
    for epoch in range(1000):
        user, item1, item2, u2i, i2i = updates[5 * epoch : 5 * epoch + 5]
        assert [x[0] for x in (user, item1, item2, u2i, i2i)] == ["user", "item", "item", "u2i", "i2i"]
        assert {user[2], item1[2], item2[2], u2i[3], i2i[3]} == {str(epoch + 1)}
        assert (u2i[1], u2i[2], i2i[1], i2i[2]) == (user[1], item1[1], item1[1], item2[1])
        assert (int(item1[1]) - int(user[1]) * 10) % 1000 < 30
        assert 1 <= (int(item2[1]) - int(item1[1])) % 1000 <= 20


def test_the_same_seed_gives_the_same_bytes_and_another_seed_others(tmp_path: Path, made: Path) -> None:
    generate(tmp_path / "again")
    generate(tmp_path / "other", seed=1)
    assert digest(tmp_path / "again") == digest(made)
    assert digest(tmp_path / "other") != digest(made)


def test_small_shops_work_and_impossible_ones_are_refused_with_every_reason(tmp_path: Path) -> None:
    small = generate(tmp_path, user_num=7, item_num=3, feature_num=1, streaming_epoch=2)
    assert small.lines == 7 + 3 + 7 * 15 + 3 + 2 * 5
    assert all(int(row[1]) < 3 for row in table(small.training / "u2i.txt")[1])
    with pytest.raises(InputError) as e:
        generate(tmp_path, user_num=0, feature_num=0)
    assert len(e.value.problems) == 2


def test_what_is_streamed_fits_the_schema_without_a_dead_letter(made: Path) -> None:
    schema = Schema.parse((SCHEMAS / "schema.json").read_bytes())
    pattern = PatternFile.parse((made / "streaming" / "u2i.pattern").read_text(), schema)
    layouts = Layouts(schema, [Dimension("vertex", 0, 2, 10), Dimension("vertex", 1, 2, 10)])
    batch, letters = Parser(pattern, layouts).parse(Block((made / "streaming" / "u2i.streaming").read_bytes(), 1))
    assert len(batch) == 17_545
    assert not letters


def test_the_query_is_an_install_document_over_the_schema() -> None:
    nodes = json.loads((SCHEMAS / "query.json").read_text())["query_plan"]["plan_nodes"]
    assert [(n["id"], n["kind"], [link["node"] for link in n["links"]]) for n in nodes] == [
        (0, "SOURCE", [1, 2]),
        (1, "VERTEX_SAMPLER", []),
        (2, "EDGE_SAMPLER", [3, 4]),
        (3, "VERTEX_SAMPLER", []),
        (4, "EDGE_SAMPLER", [3]),
    ]
    params = {n["id"]: {p["key"]: p["value"] for p in n["params"]} for n in nodes}
    assert params[2] == {"vtype": 0, "etype": 2, "fanout": 10, "strategy": 0}
    assert params[4] == {"vtype": 1, "etype": 3, "fanout": 5, "strategy": 0}

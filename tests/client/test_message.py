"""Reading messages: views of bytes, what is damaged, and the rule of compatibility at the top of samples.proto."""

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
import pytest
from dgs_client.batch import EgoGraphs
from dgs_client.message import read_message
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory

from dgs.core.errors import CodecError
from dgs.wire import samples_pb2 as pb
from tests.client.making import DIM, SCHEMA, World, column, packed, random_world, samples

SEEDS = [5, -1, 3]
NESTED = {"query", "nodes", "graphs", "vertices", "edges", "columns"}


def world() -> World:
    return random_world(4)


def plain(data: bytes) -> list[dict[str, Any]]:
    """Return everything that the client reads in an answer."""
    return [ego.to_dict() for ego in EgoGraphs.read(data)]


def answer(*graphs: pb.Graph) -> bytes:
    """Return an answer of the world."""
    return samples(*graphs, nodes=world().nodes)


def messages_in(message: Any) -> Iterator[Any]:
    """Give a message and all that it holds."""
    yield message
    for field, value in message.ListFields():
        if field.name in NESTED:
            for held in value if hasattr(value, "__len__") else [value]:
                yield from messages_in(held)


def test_arrays_are_views_of_the_bytes() -> None:
    (graph,) = read_message(samples(world().graph(SEEDS)))[1]
    for array in (graph.vertices["user"].ids, graph.vertices["user"]["vec"], graph.edges[0].src, graph.edges[0].timestamps):
        assert not array.flags.owndata
        assert not array.flags.writeable
    edges, items = graph.edges["clicked"], graph.vertices["item"]
    arrays: list[Any] = [items.ids, items.known, items["vec"], items["stock"], edges.src, edges.timestamps, edges.scores]
    dtypes = [a.dtype for a in arrays]
    assert dtypes == [np.int64, bool, np.float32, np.int32, np.int32, np.int64, np.int64]


def test_every_value_type() -> None:
    numbers = {"INT32": ("i", -7), "INT64": ("q", 1 << 60), "FLOAT32": ("f", 0.5), "FLOAT64": ("d", 0.1)}
    graph = world().graph([5])
    user = next(v for v in graph.vertices if v.type == "user")
    n = len(user.ids) // 8
    del user.columns[:]
    for name, (letter, number) in numbers.items():
        user.columns.add(name=name, type=name, length=1, values=packed(letter, [number] * n))
        user.columns.add(name=f"{name}S", type=f"{name}_LIST", length=2, values=packed(letter, [number] * 2 * n))
    user.columns.append(column("title", ["é"] * n))
    user.columns.add(name="text", type=pb.STRING, length=1, values=b"\xff" * n, offsets=packed("I", range(n + 1)))
    (read,) = read_message(samples(graph))[1]
    vertices = read.vertices["user"]
    for name, (letter, number) in numbers.items():
        assert (vertices[name].dtype.char, vertices[name].shape) == ({"q": "l"}.get(letter, letter), (n,))
        assert vertices[name].tolist() == [number] * n
        assert vertices[f"{name}S"].tolist() == [[number, number]] * n
    assert vertices["title"].tolist() == ["é"] * n
    assert vertices["text"].tolist() == ["\ufffd"] * n


def test_an_answer_of_a_service_that_catches_up_says_so_among_others_too() -> None:
    plain_answer, behind = answer(world().graph([5])), pb.Samples(caught_up=False).SerializeToString()
    assert EgoGraphs.read(plain_answer).caught_up
    for data in (plain_answer + behind, behind + plain_answer):
        (ego,) = batch = EgoGraphs.read(data)
        assert batch.caught_up is ego.caught_up is ego.to_dict()["caught_up"] is False
    assert "caught_up" not in EgoGraphs.read(plain_answer)[0].to_dict()
    assert EgoGraphs.read(plain_answer + pb.Samples(caught_up=True).SerializeToString()).caught_up


# Damaged -------------------------------------------------------------------------------------------------------------------------


def cut(field: str) -> Callable[[pb.Graph], None]:
    def change(graph: pb.Graph) -> None:
        *path, name = field.split(".")
        owners: list[Any] = [graph]
        for step in path:
            owners = [held for owner in owners for held in getattr(owner, step)]
        for owner in owners:
            setattr(owner, name, getattr(owner, name)[:-1])

    return change


@pytest.mark.parametrize(
    "field",
    [
        *("seeds", "asked", "seed_rows", "positions", "edges.src", "edges.dst", "edges.timestamps", "edges.int_scores"),
        *("vertices.ids", "vertices.known", "vertices.columns.values", "vertices.columns.present", "vertices.columns.offsets"),
    ],
)
def test_an_array_of_another_length_is_noticed(field: str) -> None:
    graph = world().graph(SEEDS)
    cut(field)(graph)
    with pytest.raises(CodecError, match="damaged"):
        plain(answer(graph))


def lose_seed_type(graph: pb.Graph) -> None:
    graph.seed_type = "nobody"


def lose_type(graph: pb.Graph) -> None:
    del graph.vertices[1]


@pytest.mark.parametrize("change", [lose_seed_type, lose_type])
def test_types_that_are_not_there_are_noticed(change: Callable[[pb.Graph], None]) -> None:
    graph = world().graph(SEEDS)
    change(graph)
    with pytest.raises(CodecError, match="damaged"):
        plain(answer(graph))


@pytest.mark.parametrize("asked", [[0, 1, 3], [0, 1, 1]])
def test_seeds_that_are_not_there_are_noticed(asked: list[int]) -> None:
    with pytest.raises(CodecError, match=r"lacks seeds|has no seed number 3"):
        EgoGraphs.read(samples(world().graph(SEEDS, asked)))


def lose_source(nodes: list[pb.PlanNode]) -> None:
    del nodes[0]


def lose_node(nodes: list[pb.PlanNode]) -> None:
    del nodes[3]


def lose_upstreams(nodes: list[pb.PlanNode]) -> None:
    nodes[-1].ClearField("upstreams")


def lose_end(nodes: list[pb.PlanNode]) -> None:
    nodes[-1].ClearField("dst_types")


def swap(nodes: list[pb.PlanNode]) -> None:
    nodes.append(nodes.pop(3))


def take_another_type(nodes: list[pb.PlanNode]) -> None:
    next(n for n in nodes if n.upstreams and not n.dst_types).type = "nobody"


def begin_elsewhere(nodes: list[pb.PlanNode]) -> None:
    nodes[0].type = "item"


@pytest.mark.parametrize(
    "change", [lose_source, lose_node, lose_upstreams, lose_end, swap, take_another_type, begin_elsewhere], ids=lambda c: c.__name__
)
def test_a_plan_that_a_graph_is_not_of_is_noticed(change: Callable[[list[pb.PlanNode]], None]) -> None:
    nodes = world().nodes
    change(nodes)
    batch = EgoGraphs.read(samples(world().graph(SEEDS), nodes=nodes))
    with pytest.raises(CodecError, match="not of the plan that came with it"):
        batch[0]
    assert batch.merged().seeds.tolist() == SEEDS, "what needs no plan is there"


def test_seeds_of_another_type_than_the_plan_s_are_noticed() -> None:
    graph = world().graph(SEEDS)
    graph.seed_type = "item"
    with pytest.raises(CodecError, match="not of the plan that came with it"):
        EgoGraphs.read(answer(graph))[0]


def test_something_else_is_noticed() -> None:
    with pytest.raises(CodecError, match="no dgs"):
        read_message(b'{"samples": []}')


# Compatible ----------------------------------------------------------------------------------------------------------------------


def test_unknown_fields_are_skipped_wherever_they_stand() -> None:
    data = answer(world().graph(SEEDS))
    changed = pb.Samples.FromString(data)
    unknown = [b"\xc2\x3e\x03new", b"\xc8\x3e\x07", b"\xcd\x3e\x01\x02\x03\x04", b"\xd1\x3e" + bytes(8)]
    count = 0
    for message in messages_in(changed):
        for field in unknown:
            message.MergeFromString(field)
            count += 1
    again = changed.SerializeToString()
    assert len(again) >= len(data) + 5 * count
    assert plain(again) == plain(data)


def test_columns_of_unknown_types_are_left_out() -> None:
    graph = world().graph(SEEDS)
    want = plain(answer(graph))
    elements: list[Any] = [*graph.vertices, *graph.edges]
    for element in elements:
        for code in (0, 10, 99):
            strange = element.columns.add(name="strange", length=1, values=b"whatever")
            strange.MergeFromString(b"\x10" + bytes([code]))
    assert plain(answer(graph)) == want


def test_messages_that_stand_one_after_the_other_are_one() -> None:
    one, other = (world().graph([SEEDS[i] for i in part], part) for part in ([2, 0], [1]))
    assert plain(answer(one) + answer(other)) == plain(answer(one, other))
    assert [ego["seed"]["id"] for ego in plain(answer(other) + answer(one))] == SEEDS


def descriptor() -> descriptor_pb2.FileDescriptorProto:
    found = descriptor_pb2.FileDescriptorProto()
    pb.DESCRIPTOR.CopyToProto(found)
    return found


def samples_class(file: descriptor_pb2.FileDescriptorProto) -> Any:
    """Return the class of Samples of another version of the file."""
    pool = descriptor_pool.DescriptorPool()
    pool.Add(file)
    return message_factory.GetMessageClass(pool.FindMessageTypeByName("dgs.v1.Samples"))


FIELDS = [(m.name, f.name) for m in descriptor().message_type for f in m.field]


@pytest.mark.parametrize(("message", "field"), FIELDS)
def test_an_older_reader_loses_only_what_it_does_not_know(message: str, field: str) -> None:
    file = descriptor()
    described = next(m for m in file.message_type if m.name == message)
    of_field = next(f for f in described.field if f.name == field)
    if of_field.HasField("oneof_index") and of_field.proto3_optional:
        del described.oneof_decl[of_field.oneof_index]
    described.field.remove(of_field)
    data = answer(world().graph(SEEDS, pending=3))
    older, want = samples_class(file).FromString(data), pb.Samples.FromString(data)
    for one in messages_in(want):
        if type(one).DESCRIPTOR.name == message:
            one.ClearField(field)
    assert pb.Samples.FromString(older.SerializeToString()) == pb.Samples.FromString(data), "what it does not know it keeps"
    older.DiscardUnknownFields()
    assert pb.Samples.FromString(older.SerializeToString()) == want


def test_an_older_reader_that_knows_no_nodes_reads_the_rest() -> None:
    file = descriptor()
    file.message_type.remove(next(m for m in file.message_type if m.name == "PlanNode"))
    query = next(m for m in file.message_type if m.name == "Query")
    query.field.remove(next(f for f in query.field if f.name == "nodes"))
    older = samples_class(file).FromString(answer(world().graph(SEEDS)))
    assert not hasattr(older.query, "nodes")
    assert EgoGraphs.read(older.SerializeToString())[0].seed == SEEDS[0], "it hands on what it does not know"
    older.DiscardUnknownFields()
    assert older.SerializeToString() == samples(world().graph(SEEDS))


def test_an_older_reader_sees_the_number_of_a_value_type_that_it_does_not_know() -> None:
    file = descriptor()
    (enum,) = file.enum_type
    enum.value.remove(next(v for v in enum.value if v.name == "STRING"))
    older = samples_class(file).FromString(samples(world().graph(SEEDS)))
    types = {c.name: c.type for v in older.graphs[0].vertices for c in v.columns}
    assert types["title"] == pb.STRING


def test_a_newer_writer_is_read() -> None:
    """It has a new value type, new fields everywhere, and a new message below."""
    file = descriptor()
    file.enum_type[0].value.add(name="BOOL", number=10)
    note = file.message_type.add(name="Note")
    note.field.add(name="text", number=1, type="TYPE_STRING", label="LABEL_OPTIONAL")
    for described in list(file.message_type)[:-1]:
        described.field.add(name="note", number=40, type="TYPE_MESSAGE", type_name=".dgs.v1.Note", label="LABEL_REPEATED")
        described.field.add(name="weight", number=41, type="TYPE_DOUBLE", label="LABEL_OPTIONAL")
    data = answer(world().graph(SEEDS))
    newer = samples_class(file).FromString(data)
    for message in messages_in(newer):
        message.note.add(text="new")
        message.weight = 0.25
    newer.graphs[0].vertices[0].columns.add(name="flag", type=10, length=1, values=b"\1")
    written = newer.SerializeToString()
    assert len(written) > len(data)
    assert plain(written) == plain(data)


def test_the_world_has_every_attribute() -> None:
    """Else the tests above would prove little."""
    (graph,) = read_message(samples(world().graph(SEEDS)))[1]
    items = graph.vertices["item"]
    assert set(items.columns) == {"timestamp", "vec", "title", "stock"}
    assert all(items.present(name).any() and not items.present(name).all() for name in items.columns)
    assert items["vec"].shape[1] == DIM
    assert {d["name"] for d in SCHEMA["attr_defs"]} >= set(items.columns)

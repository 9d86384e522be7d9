"""`/samples`: answers, and every way to ask wrongly."""

import asyncio
import json
from typing import Any

import httpx
import orjson
import pytest

from dgs.api.request import Wanted, read_get, read_post
from dgs.coordinator.coordinator import Coordinator
from dgs.core.errors import InputError
from dgs.core.operators import InstalledQuery, OperatorSet
from dgs.core.partition import partition_of
from dgs.core.token import PositionToken
from dgs.wire.samples_pb2 import Samples
from tests.api.conftest import Document, FakePartition, ProblemCheck, S

INT64_MIN, INT64_MAX = -(1 << 63), (1 << 63) - 1
Client = httpx.AsyncClient


async def test_one_seed(client: Client, installed: InstalledQuery, partitions: list[FakePartition]) -> None:
    partition = partitions[partition_of(42, S)]
    partition.edges[42] = [7, 7, 9]
    partition.positions, partition.watermark = [5, 6, 7, 8], -3
    response = await client.get("/samples?vid=42")
    assert response.status_code == 200
    assert response.headers["content-type"] == "application/json"
    assert response.json() == {
        "query": {"id": 0, "name": "friends", "ready": True},
        "seed": {"type": "user", "id": 42, "known": True},
        "generation": 1,
        "positions": [5, 6, 7, 8],
        "watermark": -3,
        "pending": 0,
        "history": "full",
        "vertices": {
            "user": {
                "ids": [42, 7, 9],
                "known": [True, True, True],
                "attrs": {"timestamp": [None, None, None], "vec": [None, None, None]},
            }
        },
        "edges": [
            {
                "operator": 1,
                "alias": "knows",
                "hop": 1,
                "type": "knows",
                "src_type": "user",
                "dst_type": "user",
                "src": [0, 0, 0],
                "dst": [1, 1, 2],
                "timestamp": [0, 1, 2],
                "attrs": {},
            }
        ],
    }


async def test_an_unknown_seed_has_an_empty_ego_graph(client: Client, installed: InstalledQuery) -> None:
    answer = (await client.get("/samples?vid=1")).json()
    assert answer["seed"] == {"type": "user", "id": 1, "known": False}
    assert answer["vertices"]["user"]["ids"] == [1]
    assert answer["edges"][0]["src"] == []


@pytest.mark.parametrize("vid", [0, -1, (1 << 53) + 1, INT64_MIN, INT64_MAX])
async def test_every_int64_is_exact(client: Client, installed: InstalledQuery, partitions: list[FakePartition], vid: int) -> None:
    assert (await client.get(f"/samples?vid={vid}")).json()["seed"]["id"] == vid
    answers = (await client.post("/samples", json={"vids": [vid]})).json()
    assert [a["vertices"]["user"]["ids"] for a in answers["samples"]] == [[vid]]
    assert partitions[partition_of(vid, S)].asked == [vid, vid], "its owner is asked"


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ("", "vid is missing"),
        ("vid", "vid is an int64 in decimal, not ''"),
        ("vid=", "not ''"),
        ("vid=+5", "not ' 5'"),
        ("vid=%2B5", "not '+5'"),
        ("vid=1e3", "1e3"),
        ("vid=1.0", "1.0"),
        ("vid=0x1", "0x1"),
        ("vid=1_0", "1_0"),
        ("vid=%20%31", "' 1'"),
        ("vid=--1", "--1"),
        ("vid=%D9%A3", "decimal"),
        ("vid=true", "true"),
        ("vid=9223372036854775808", "beyond int64"),
        ("vid=-9223372036854775809", "beyond int64"),
        ("vid=" + "9" * 5000, "decimal"),
        ("vid=1&vid=1", "vid is given twice"),
        ("vid=1&query=friends&query=friends", "query is given twice"),
        ("vid=1&query=", "query is empty"),
        ("vid=1&qid=0", "unknown parameter 'qid'"),
        ("vid=1&fanouts=", "fanouts are numbers"),
        ("vid=1&fanouts=3,,4", "fanouts are numbers"),
        ("vid=1&fanouts=-1", "fanouts are numbers"),
        ("vid=1&fanouts=3,4", "takes 1 fanouts, one for each of its edge samplers (at most [10]), not 2"),
        ("vid=1&fanouts=11", "fanouts[0] = 11 is more than the 10"),
        ("vid=1&scores=yes", "scores is true or false, not 'yes'"),
        ("vid=1&min_position=", "a position is empty"),
        ("vid=1&min_position=1:0", "'1:0' is no position"),
        ("vid=1&min_position=1:0:-5", "'1:0:-5' is no position"),
        ("vid=1&min_position=1:4:0", "there are record partitions 0 to 3"),
        ("vid=1&timeout_ms=-5", "timeout_ms is a number of milliseconds from 0 to 600000"),
        ("vid=1&timeout_ms=5.5", "timeout_ms"),
        ("vid=1&timeout_ms=600001", "timeout_ms"),
        ("vid=1&query=%ff", "not UTF-8"),
    ],
)
async def test_wrong_parameters(
    client: Client, installed: InstalledQuery, is_problem: ProblemCheck, parameters: str, why: str
) -> None:
    is_problem(await client.get("/samples?" + parameters), 422, why)


async def test_every_problem_is_told_at_once(client: Client, installed: InstalledQuery) -> None:
    body = (await client.get("/samples?vid=x&what=1&fanouts=a&min_position=5&timeout_ms=z&scores=1&query=")).json()
    assert len(body["problems"]) == 7
    assert body["type"] == "urn:dgs:problem:input-not-understood"


async def test_many_seeds_in_their_order(client: Client, installed: InstalledQuery, partitions: list[FakePartition]) -> None:
    vids = [3, -1, 3, 1 << 60, *range(30)]
    response = await client.post("/samples", content=json.dumps({"query": "friends", "vids": vids}))
    assert response.status_code == 200
    samples = response.json()["samples"]
    assert [s["seed"]["id"] for s in samples] == vids
    alone = [(await client.get(f"/samples?vid={v}&query=0")).json() for v in vids]
    assert samples == alone


async def test_no_seeds_have_no_samples(client: Client, installed: InstalledQuery) -> None:
    assert (await client.post("/samples", json={"vids": []})).json() == {"samples": []}


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"", "empty"),
        (b"{", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[1]", "the body is an object"),
        (b"null", "the body is an object"),
        (b"{}", "vids is missing"),
        (b'{"vids": null}', "vids is missing"),
        (b'{"vids": 5}', "array of integers, not 5"),
        (b'{"vids": "5"}', 'not "5"'),
        (b'{"vids": {"a": 1}}', "array of integers"),
        (b'{"vids": [1, true]}', "vids[1] is an int64 number, not true"),
        (b'{"vids": [1.0]}', "not 1.0"),
        (b'{"vids": ["1"]}', 'not "1"'),
        (b'{"vids": [null]}', "not null"),
        (b'{"vids": [[1]]}', "not [1]"),
        (b'{"vids": [9223372036854775808]}', "beyond int64"),
        (b'{"vids": [-9223372036854775809]}', "vids[0]"),
        (b'{"vids": [18446744073709551616]}', "vids[0]"),
        (b'{"vids": [1], "query": 1.5}', "query is the name or id of a query, not 1.5"),
        (b'{"vids": [1], "query": true}', "not true"),
        (b'{"vids": [1], "query": ""}', 'not ""'),
        (b'{"vids": [1], "query": ["friends"]}', "query"),
        (b'{"vids": [1], "vid": 2}', "unknown parameter 'vid'"),
        (b'{"vids": [1], "timeout_ms": 2.5}', "timeout_ms"),
        (b'{"vids": [1], "timeout_ms": true}', "timeout_ms"),
        (b'{"vids": [1], "fanouts": 3}', "fanouts is an array"),
        (b'{"vids": [1], "fanouts": [true]}', "fanouts is an array"),
        (b'{"vids": [1], "fanouts": [-1]}', "fanouts is an array"),
        (b'{"vids": [1], "fanouts": [1, 2]}', "takes 1 fanouts"),
        (b'{"vids": [1], "scores": 1}', "scores is true or false"),
        (b'{"vids": [1], "min_position": 5}', "min_position is a text"),
        (b'{"vids": [1], "min_position": ["1:0:3", "x"]}', "'x' is no position"),
        (b'{"vids": [NaN]}', "not JSON"),
        (b'{"vids": ' + b"[" * 300 + b"]" * 300 + b"}", "not a value that is nested so deep"),
    ],
)
async def test_wrong_bodies(client: Client, installed: InstalledQuery, is_problem: ProblemCheck, body: bytes, why: str) -> None:
    is_problem(await client.post("/samples", content=body), 422, why)


async def test_a_post_with_parameters_in_its_url(client: Client, installed: InstalledQuery, is_problem: ProblemCheck) -> None:
    is_problem(await client.post("/samples?query=friends", json={"vids": [1]}), 422, "in the body")


async def test_too_many_seeds(client: Client, installed: InstalledQuery, is_problem: ProblemCheck) -> None:
    assert (await client.post("/samples", json={"vids": [1] * 40})).status_code == 200
    is_problem(await client.post("/samples", json={"vids": [1] * 41}), 413, "seeds_max")


async def test_a_body_that_is_too_large(client: Client, installed: InstalledQuery, is_problem: ProblemCheck) -> None:
    fits = b'{"vids": [1]' + b" " * 4083 + b"}"
    assert len(fits) == 4096
    assert (await client.post("/samples", content=fits)).status_code == 200
    response = await client.post("/samples", content=fits + b" ")
    is_problem(response, 413, "body_bytes_max")
    assert response.headers["connection"] == "close"


async def test_a_large_body_is_not_read_to_its_end(client: Client, installed: InstalledQuery, is_problem: ProblemCheck) -> None:
    read = 0

    async def endless() -> Any:
        nonlocal read
        for _ in range(1000):
            read += 1
            yield b" " * 1024

    is_problem(await client.post("/samples", content=endless()), 413, "body_bytes_max")
    assert read <= 6


@pytest.mark.parametrize("method", ["PUT", "DELETE", "PATCH", "HEAD", "OPTIONS", "TRACE"])
async def test_other_methods(client: Client, method: str) -> None:
    response = await client.request(method, "/samples?vid=1")
    assert response.status_code == 405
    assert response.headers["allow"] == "GET, POST"


async def test_no_query_installed(client: Client, is_problem: ProblemCheck) -> None:
    is_problem(await client.get("/samples?vid=1"), 404, "dgs query install")
    is_problem(await client.post("/samples", json={"vids": [1]}), 404, "dgs query install")


async def test_choosing_a_query(
    client: Client, coordinator: Coordinator, installed: InstalledQuery, document: Document, is_problem: ProblemCheck
) -> None:
    await coordinator.install(document(query_id=12, fanout=2), "Фанаты 2")
    for query in ("0", "friends"):
        assert (await client.get("/samples", params={"vid": 1, "query": query})).json()["query"]["name"] == "friends"
    for body in ({"query": 12}, {"query": "12"}, {"query": "Фанаты 2"}):
        answer = (await client.post("/samples", json={"vids": [1], **body})).json()
        assert answer["samples"][0]["query"] == {"id": 12, "name": "Фанаты 2", "ready": True}
    assert (await client.get("/samples", params={"vid": 1, "query": "Фанаты 2"})).json()["query"]["id"] == 12
    is_problem(await client.get("/samples?vid=1"), 422, "there are several: friends (id 0), Фанаты 2 (id 12)")
    is_problem(await client.post("/samples", json={"vids": [1], "query": None}), 422, "several")
    for query in ("5", "enemies", "-1", "Friends", "9" * 5000):
        is_problem(await client.get("/samples", params={"vid": 1, "query": query}), 404, f"there is no query {query!r}")
    is_problem(await client.post("/samples", json={"vids": [1], "query": -5}), 404, "there is no query -5")


async def test_a_query_that_has_not_arrived_yet(
    client: Client, installed: InstalledQuery, partitions: list[FakePartition], is_problem: ProblemCheck
) -> None:
    for partition in partitions:
        partition.knows = OperatorSet()
    response = await client.get("/samples?vid=1")
    is_problem(response, 503, "has not arrived")
    assert response.headers["retry-after"] == "1"


async def test_a_query_that_is_not_everywhere_yet(
    client: Client, coordinator: Coordinator, installed: InstalledQuery, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(coordinator, "is_active", lambda query_id: False)
    assert (await client.get("/samples?vid=1")).json()["query"]["ready"] is False


async def test_a_partition_that_has_not_caught_up(
    client: Client, installed: InstalledQuery, partitions: list[FakePartition], is_problem: ProblemCheck
) -> None:
    partitions[partition_of(1, S)].caught_up = False
    is_problem(await client.get("/samples?vid=1"), 503, "still reading")
    other = next(v for v in range(100) if partition_of(v, S) != partition_of(1, S))
    assert (await client.get(f"/samples?vid={other}")).status_code == 200
    is_problem(await client.post("/samples", json={"vids": [other, 1]}), 503, "still reading")


async def test_a_partition_that_started_from_a_snapshot_answers_and_says_so(
    client: Client, installed: InstalledQuery, partitions: list[FakePartition]
) -> None:
    behind = partitions[partition_of(1, S)]
    behind.caught_up, behind.from_snapshot = False, True
    other = next(v for v in range(100) if partition_of(v, S) != partition_of(1, S))
    response = await client.post("/samples", json={"vids": [1, other]})
    assert response.status_code == 200
    assert [s.get("caught_up") for s in response.json()["samples"]] == [False, None]
    binary = {"accept": "application/x-protobuf"}
    for vids, wanted in (([1], False), ([other], None), ([1, other], False)):
        data = (await client.post("/samples", json={"vids": vids}, headers=binary)).content
        message = Samples.FromString(data)
        assert (message.caught_up if message.HasField("caught_up") else None) is wanted
    behind.caught_up = True
    assert "caught_up" not in (await client.get("/samples?vid=1")).json()


async def test_a_failure_inside(
    client: Client, installed: InstalledQuery, partitions: list[FakePartition], is_problem: ProblemCheck
) -> None:
    for partition in partitions:
        partition.fails = ZeroDivisionError("secret")
    response = await client.get("/samples?vid=1")
    is_problem(response, 500, "its log says what")
    assert "secret" not in response.text
    is_problem(await client.post("/samples", json={"vids": [1]}), 500, "its log says what")


async def test_others_have_their_turn_within_a_large_request(
    client: Client, installed: InstalledQuery, partitions: list[FakePartition]
) -> None:
    large = asyncio.create_task(client.post("/samples", json={"vids": list(range(40))}))
    turns = 0
    while not large.done():
        await asyncio.sleep(0)
        asked = sum(len(p.asked) for p in partitions)
        turns += 0 < asked < 40
    assert turns >= 2


def test_parameters_and_bodies_are_equal_ways_to_ask() -> None:
    assert read_get(b"vid=%2d5&query=a+b%26") == (-5, Wanted("a b&"))
    assert read_get(b"&query=0&&vid=007&") == (7, Wanted("0"))
    assert read_post(orjson.dumps({"vids": [1], "query": 5})) == ([1], Wanted(5))
    everything = Wanted("q", (3, 0), True, (PositionToken(1, 0, 9), PositionToken(1, 2, 7)), 50)
    query_string = b"vid=1&query=q&fanouts=3,0&scores=true&min_position=1:0:9,1:2:7&timeout_ms=50"
    assert read_get(query_string) == (1, everything)
    body = {"vids": [1], "query": "q", "fanouts": [3, 0], "scores": True, "min_position": ["1:0:9", "1:2:7"], "timeout_ms": 50}
    assert read_post(orjson.dumps(body)) == ([1], everything)
    assert read_post(orjson.dumps({**dict.fromkeys(body), "vids": [1]})) == ([1], Wanted())
    with pytest.raises(InputError):
        read_get(b"vid=5\n")

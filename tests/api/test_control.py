"""The control plane over REST, health, and what the framework itself answers."""

import re
import subprocess
import sys

import httpx
import orjson
import pytest

from dgs.bus.memory import MemoryBus
from dgs.coordinator.coordinator import Coordinator
from dgs.core.operators import InstalledQuery
from dgs.core.partition import mix
from dgs.http.gate import Application
from tests.api.conftest import SCHEMA_TEXT, Document, FakePartition, P, ProblemCheck, S

Client = httpx.AsyncClient


async def test_installing_queries(client: Client, document: Document, is_problem: ProblemCheck) -> None:
    assert (await client.get("/queries")).json() == {"queries": []}
    friends = {"id": 0, "name": "all my/friends", "ready": True}
    for _ in range(2):
        response = await client.post("/queries", params={"name": "all my/friends"}, content=document())
        assert response.status_code == 200
        assert response.json() == friends
    assert (await client.post("/queries", content=document(query_id=3, fanout=1))).json()["name"] == "q3"
    assert [q["name"] for q in (await client.get("/queries")).json()["queries"]] == ["all my/friends", "q3"]
    for key in ("0", "all%20my%2Ffriends"):
        assert (await client.get(f"/queries/{key}")).json() == friends | {"document": orjson.loads(document())}
    is_problem(await client.get("/queries/enemies"), 404, "there is no query 'enemies'")
    is_problem(await client.post("/queries", params={"name": "x"}, content=document()), 409, "under the name")
    is_problem(await client.post("/queries", content=document(fanout=2)), 409, "has another plan")
    is_problem(await client.post("/queries", params={"name": "8"}, content=document(query_id=8)), 422, "all digits")
    is_problem(await client.post("/queries", content=b"{"), 422, "not JSON")
    is_problem(await client.post("/queries", content=b"\xff\xfe"), 422, "")
    is_problem(await client.post("/queries", content=document(fanout=-1)), 422, "fanout")
    is_problem(await client.post("/queries", content=document(note="x" * 5000)), 413, "body_bytes_max")


@pytest.mark.parametrize(
    ("parameters", "why"),
    [
        ("nam=x", "unknown parameter 'nam'; known is name"),
        ("name=a&nam=x&y", "unknown parameter 'nam'; known is name; unknown parameter 'y'"),
        ("name=a&name=b", "name is given twice"),
        ("name=a%ffb", "name=a%ffb is not UTF-8"),
    ],
)
async def test_wrong_parameters_of_an_installation(
    client: Client, document: Document, is_problem: ProblemCheck, parameters: str, why: str
) -> None:
    is_problem(await client.post(f"/queries?{parameters}", content=document()), 422, why)
    assert (await client.get("/queries")).json() == {"queries": []}


async def test_no_query_after_the_first_loader(
    client: Client, coordinator: Coordinator, document: Document, is_problem: ProblemCheck
) -> None:
    await coordinator.install(document())
    coordinator.accept_loaders.set()
    await coordinator.init_info()
    is_problem(await client.post("/queries", content=document(query_id=1, fanout=1)), 409, "a loader has begun")


async def test_barriers(client: Client, coordinator: Coordinator, is_problem: ProblemCheck) -> None:
    assert (await client.get("/barriers")).json() == {"barriers": []}
    assert (await client.get("/barriers/a")).json() == {"name": "a", "state": "NOT_SET", "count": None, "loaders": []}
    first = await client.post("/barriers/a%2Fb", json={"count": 2, "loader_id": 1})
    assert first.json() == {"name": "a/b", "state": "NOT_SET", "count": 2, "loaders": [1]}
    assert (await client.post("/barriers/a/b", json={"count": 2})).json()["state"] == "PRODUCED"
    assert (await client.post("/barriers/c")).json()["count"] == 1
    is_problem(await client.post("/barriers/c", json={"loader_id": 1}), 409, "Barrier c Already Set.")
    for partition in range(S):
        await coordinator.report(partition, 1, 1)
    assert [(b["name"], b["state"]) for b in (await client.get("/barriers")).json()["barriers"]] == [
        ("a/b", "READY"),
        ("c", "PRODUCED"),
    ]


@pytest.mark.parametrize(
    ("body", "why"),
    [
        (b"[]", "body: "),
        (b"{", "body: "),
        (b'{"count": 0}', "count is an integer from 1"),
        (b'{"count": true}', "count: "),
        (b'{"count": 1.5}', "count: "),
        (b'{"count": "2"}', "count: "),
        (b'{"loader_id": -1}', "loader"),
        (b'{"id": 1}', "id: "),
        (b" " * 5000, "body_bytes_max"),
    ],
)
async def test_wrong_barriers(client: Client, is_problem: ProblemCheck, body: bytes, why: str) -> None:
    is_problem(await client.post("/barriers/a", content=body), 413 if len(body) > 4096 else 422, why)
    is_problem(await client.post("/barriers/" + "n" * 201), 422, "200 characters")
    is_problem(await client.post("/barriers/a%09b"), 422, "control characters")
    is_problem(await client.post("/barriers/"), 422, "must not be empty")


async def test_a_path_that_is_no_text(client: Client, is_problem: ProblemCheck) -> None:
    is_problem(await client.post("/barriers/a%ffb"), 422, "the path /barriers/a%ffb is not UTF-8")
    assert (await client.get("/barriers")).json() == {"barriers": []}
    is_problem(await client.get("/barriers/a%ffb"), 422, "not UTF-8")
    is_problem(await client.get("/queries/a%ffb"), 422, "not UTF-8")
    for name in ("%d0%b4", "%ef%bf%bd"):
        assert (await client.get(f"/barriers/{name}")).status_code == 200


async def test_a_ready_barrier_waits_for_partitions_that_read_again(
    client: Client, coordinator: Coordinator, partitions: list[FakePartition]
) -> None:
    await coordinator.set_barrier("a")
    for partition in range(S):
        await coordinator.report(partition, 1, 1)
    partitions[1].caught_up = False
    assert (await client.get("/barriers/a")).json()["state"] == "SAMPLED"
    assert (await client.get("/admin/barrier/status?name=a")).text == "SAMPLED"
    partitions[1].caught_up = True
    assert (await client.get("/barriers/a")).json()["state"] == "READY"


async def test_dimensions(client: Client, is_problem: ProblemCheck) -> None:
    proposal = {"kind": "vertex", "type": 0, "attribute": 1, "dim": 8}
    assert (await client.post("/dimensions", json=proposal)).json() == {"dimensions": [proposal]}
    assert (await client.post("/dimensions", json=proposal | {"dim": 9})).json() == {"dimensions": [proposal]}
    is_problem(await client.post("/dimensions", json=proposal | {"attribute": 0}), 422, "it has no dimension")
    is_problem(await client.post("/dimensions", json=proposal | {"dim": 0}), 422, "65536")
    is_problem(await client.post("/dimensions", json=proposal | {"dim": True}), 422, "dim: ")
    is_problem(await client.post("/dimensions", json=proposal | {"kind": "v"}), 422, "kind: ")
    is_problem(await client.post("/dimensions"), 422, "type: ")


async def test_the_schema_is_verbatim(client: Client) -> None:
    response = await client.get("/schema")
    assert response.content == SCHEMA_TEXT
    assert response.headers["content-type"] == "application/json"


async def test_the_cluster(client: Client, bus: MemoryBus, installed: InstalledQuery, partitions: list[FakePartition]) -> None:
    partitions[0].positions, partitions[0].watermark = [9, 1, 5, 5], 77
    partitions[1].positions, partitions[1].caught_up = [2, 3, 5, 5], False
    found = (await client.get("/cluster")).json()
    assert found["positions"] == [2, 1, 5, 5]
    assert found["serving"][0] == {
        "partition": 0,
        "answers": True,
        "caught_up": True,
        "positions": [9, 1, 5, 5],
        "watermark": 77,
        "lag_bytes": 0,
        "lag_entries": None,
        "rows_pending": 0,
        "vertices": 0,
        "state_bytes": 0,
        "snapshot": None,
        "copies": [],
    }
    assert [(s["answers"], s["caught_up"]) for s in found["serving"]] == [(True, True), (False, False)]
    assert found["queries"] == [{"id": 0, "name": "friends", "ready": True}]
    assert (found["generation"], found["partitions"], found["serving_partitions"], found["log_id"]) == (1, P, S, "log")
    assert found["orders_pending"] == 0
    assert len(found["record_ends"]) == P
    assert min(found["record_ends"]) > 0
    assert found["hash"]["record_partition"] == "mix(vid) mod 4"
    await bus.close()
    assert (await client.get("/cluster")).json()["record_ends"] is None


async def test_the_hash_is_as_described(client: Client) -> None:
    formula = (await client.get("/cluster")).json()["hash"]["mix"]
    for vid in (0, 5, -5, (1 << 63) - 1):
        names = {"x": vid % (1 << 64)}
        for step in formula.split(";")[:3]:
            exec(step.strip(), {}, names)
            names["x"] %= 1 << 64
        assert eval(formula.split(";")[3].strip(), {}, names) == mix(vid)


async def test_a_bus_that_refuses_is_a_503(client: Client, bus: MemoryBus, document: Document, is_problem: ProblemCheck) -> None:
    await bus.close()
    response = await client.post("/queries", content=document())
    is_problem(response, 503, "tried again")
    assert response.headers["retry-after"] == "1"


async def test_health(client: Client, coordinator: Coordinator, partitions: list[FakePartition], is_problem: ProblemCheck) -> None:
    assert (await client.get("/livez")).text == "ok\n"
    partitions[1].caught_up = False
    response = await client.get("/readyz")
    is_problem(response, 503, "queries: the first queries are being installed; serving-1: still reading")
    assert response.json()["checks"]["serving-0"] == "ok"
    assert response.json()["ready"] is False
    coordinator.accept_loaders.set()
    partitions[1].caught_up = True
    response = await client.get("/readyz")
    assert response.status_code == 200
    checks = {"queries": "ok", "serving-0": "ok", "serving-1": "ok", "storage": "ok"}
    assert response.json() == {"ready": True, "degraded": False, "checks": checks}


@pytest.mark.parametrize("path", ["/livez", "/readyz"])
async def test_health_can_be_asked_with_head(client: Client, path: str) -> None:
    asked, probed = await client.get(path), await client.head(path)
    assert (probed.status_code, probed.content) == (asked.status_code, b"")
    assert probed.headers["content-type"] == asked.headers["content-type"]


async def test_a_host_that_is_none(client: Client, is_problem: ProblemCheck) -> None:
    is_problem(await client.get("/nothing", headers={"host": "["}), 404, "there is no /nothing")
    assert (await client.get("/admin/barrier/status?name=b", headers={"host": "["})).text == "NOT_SET"


async def test_unknown_paths_and_methods(client: Client, is_problem: ProblemCheck) -> None:
    for path in ("/nothing", "/samples/", "/queries?x=1/", "/livez/"):
        if "?" not in path:
            is_problem(await client.get(path), 404, f"there is no {path}")
    for path, methods in {"/queries": ["GET", "POST"], "/barriers/a": ["GET", "POST"], "/livez": ["GET", "HEAD"]}.items():
        response = await client.delete(path)
        is_problem(response, 405, f"{path} takes {' and '.join(methods)}, not DELETE")
        assert response.headers["allow"] == ", ".join(methods)
    assert "/docs" in (await client.get("/")).text


async def test_a_failure_inside(
    client: Client, coordinator: Coordinator, is_problem: ProblemCheck, monkeypatch: pytest.MonkeyPatch
) -> None:
    def fail() -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(coordinator, "barriers", fail)
    response = await client.get("/barriers")
    is_problem(response, 500, "its log says what")
    assert "secret" not in response.text


async def test_everything_is_documented(client: Client) -> None:
    assert (await client.get("/docs")).status_code == 200
    document = (await client.get("/openapi.json")).json()
    paths = {f"{method.upper()} {path}" for path, item in document["paths"].items() for method in item}
    assert paths == {
        "GET /samples",
        "POST /samples",
        "GET /infer",
        "GET /queries",
        "POST /queries",
        "GET /queries/{name}",
        "GET /barriers",
        "GET /barriers/{name}",
        "POST /barriers/{name}",
        "POST /dimensions",
        "GET /schema",
        "GET /cluster",
        "GET /cluster/map",
        "GET /lag",
        "GET /checkpoints",
        "POST /checkpoints",
        "GET /checkpoints/{checkpoint}",
        "GET /metrics",
        "GET /livez",
        "GET /readyz",
        "POST /admin/init",
        "POST /admin/barrier/set",
        "POST /admin/checkpoint",
        "GET /admin/barrier/status",
        "GET /admin/schema",
        "GET /admin/query",
        "GET /admin/init-info/dataloader",
    }
    assert {"Sample", "Problem"} <= set(document["components"]["schemas"])
    assert (await client.get("/openapi.json")).json() == document


ERROR, JSON, TEXT = "application/problem+json", "application/json", "text/plain"


@pytest.mark.parametrize(
    ("operation", "answers"),
    [
        ("GET /livez", {200: TEXT}),
        ("GET /readyz", {200: JSON, 503: ERROR}),
        ("GET /queries", {200: JSON, 503: ERROR}),
        ("POST /queries", {200: JSON, 409: ERROR, 413: ERROR, 422: ERROR, 503: ERROR}),
        ("GET /queries/{name}", {200: JSON, 404: ERROR, 422: ERROR, 503: ERROR}),
        ("GET /barriers", {200: JSON, 503: ERROR}),
        ("GET /barriers/{name}", {200: JSON, 404: ERROR, 422: ERROR, 503: ERROR}),
        ("POST /barriers/{name}", {200: JSON, 404: ERROR, 409: ERROR, 413: ERROR, 422: ERROR, 503: ERROR}),
        ("POST /dimensions", {200: JSON, 413: ERROR, 422: ERROR, 503: ERROR}),
        ("GET /schema", {200: JSON, 503: ERROR}),
        ("GET /cluster", {200: JSON, 503: ERROR}),
        ("GET /cluster/map", {200: JSON, 503: ERROR}),
        ("GET /lag", {200: JSON, 503: ERROR}),
        ("GET /metrics", {200: TEXT, 503: ERROR}),
        ("POST /admin/init", {200: TEXT, 400: TEXT, 409: TEXT, 413: TEXT, 503: TEXT}),
        ("POST /admin/barrier/set", {200: TEXT, 400: TEXT, 413: TEXT, 503: TEXT}),
        ("GET /checkpoints", {200: JSON, 409: ERROR, 503: ERROR}),
        ("POST /checkpoints", {202: JSON, 409: ERROR, 503: ERROR}),
        ("GET /checkpoints/{checkpoint}", {200: JSON, 404: ERROR, 409: ERROR, 422: ERROR, 503: ERROR}),
        ("POST /admin/checkpoint", {200: TEXT, 503: TEXT}),
        ("GET /admin/barrier/status", {200: TEXT, 400: TEXT, 503: TEXT}),
        ("GET /admin/schema", {200: JSON, 503: TEXT}),
        ("GET /admin/query", {200: JSON, 400: TEXT, 503: TEXT}),
        ("GET /admin/init-info/dataloader", {200: JSON, 503: TEXT}),
    ],
)
async def test_answers_are_declared_as_they_are(client: Client, operation: str, answers: dict[int, str]) -> None:
    document = (await client.get("/openapi.json")).json()
    method, path = operation.split()
    declared = document["paths"][path][method.lower()]["responses"]
    assert {int(status): list(answer["content"]) for status, answer in declared.items()} == {s: [t] for s, t in answers.items()}
    assert "HTTPValidationError" not in document["components"]["schemas"]
    # And it is so, as far as asking without anything shows.
    response = await client.request(method, re.sub(r"{\w+}", "x", path))
    assert response.headers["content-type"].split(";")[0] == answers[response.status_code]


async def test_the_name_of_a_query_is_declared(client: Client) -> None:
    document = (await client.get("/openapi.json")).json()
    assert [p["name"] for p in document["paths"]["/queries"]["post"]["parameters"]] == ["name"]


def test_the_framework_is_imported_late() -> None:
    code = "import sys, dgs.config, dgs.coordinator.coordinator, dgs.codec.answers; sys.exit('fastapi' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


async def test_websockets_are_left_to_the_framework(app: Application) -> None:
    sent = []

    async def receive() -> dict[str, object]:
        return {"type": "websocket.connect"}

    async def send(message: object) -> None:
        sent.append(message)

    scope: dict[str, object] = {
        "type": "websocket",
        "path": "/samples",
        "headers": [],
        "query_string": b"",
        "subprotocols": [],
        "app": None,
    }
    await app(scope, receive, send)
    assert sent[0]["type"] == "websocket.close"  # type: ignore[index]

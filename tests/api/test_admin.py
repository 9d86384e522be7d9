"""`/admin/*`: the reference's paths and texts, to the letter."""

import json

import httpx
import pytest

from dgs.bus.memory import MemoryBus
from dgs.coordinator.coordinator import Coordinator
from dgs.http.gate import Gate
from tests.api.conftest import SCHEMA_TEXT, Document, P

Client = httpx.AsyncClient


def is_text(response: httpx.Response, status: int, text: str) -> None:
    assert (response.status_code, response.text) == (status, text)
    assert response.headers["content-type"].startswith("text/plain")


async def test_init(client: Client, document: Document) -> None:
    is_text(await client.get("/admin/query"), 400, "Query has not been registered.\n")
    for _ in range(2):
        is_text(await client.post("/admin/init", content=document()), 200, "Install Successfully.\n")
    assert (await client.get("/admin/query")).json() == json.loads(document())
    is_text(await client.post("/admin/init", content=b"nonsense"), 400, f"Invalid Query Plan\n{reason(b'nonsense')}\n")
    response = await client.post("/admin/init", content=document(fanout=0))
    assert response.status_code == 400
    assert response.text.startswith("Invalid Query Plan\nnode 1: fanout")
    is_text(
        await client.post("/admin/init", content=document(fanout=3)),
        409,
        "query id 0 is used by 'q0', which has another plan; give another query_id\n",
    )
    is_text(
        await client.post("/admin/init", content=document(note="x" * 5000)),
        413,
        "the body is larger than 4096 bytes (setting body_bytes_max)\n",
    )


def reason(text: bytes) -> str:
    with pytest.raises(ValueError, match="Expecting") as e:
        json.loads(text)
    return f"the query is not JSON: {e.value}"


async def test_the_query_of_id_0_comes_first(client: Client, document: Document) -> None:
    await client.post("/admin/init", content=document(query_id=4))
    assert (await client.get("/admin/query")).json()["query_id"] == 4
    await client.post("/admin/init", content=document(query_id=0))
    assert (await client.get("/admin/query")).json()["query_id"] == 0


async def test_barriers(client: Client, coordinator: Coordinator) -> None:
    async def put(**form: object) -> httpx.Response:
        return await client.post("/admin/barrier/set", data=form)

    status = "/admin/barrier/status"
    is_text(await client.get(status, params={"name": "день & ночь"}), 200, "NOT_SET")
    is_text(await put(name="день & ночь", count=2, id=0), 200, "Done")
    is_text(await client.get(status, params={"name": "день & ночь"}), 200, "NOT_SET")
    is_text(await put(name="день & ночь", count=3, id=1), 400, "Barrier день & ночь Already Set.\n")
    is_text(await put(name="день & ночь", count=2, id=7), 200, "Done")
    is_text(await put(name="день & ночь", count=2, id=0), 200, "Done")
    is_text(await put(name="день & ночь", count=2, id=1), 400, "Barrier день & ночь Already Set.\n")
    is_text(await client.get(status, params={"name": "день & ночь"}), 200, "PRODUCED")
    await coordinator.report(0, 1, 1)
    await coordinator.report(1, 1, 1)
    is_text(await client.get(status, params={"name": "день & ночь"}), 200, "READY")


@pytest.mark.parametrize(
    "form",
    [
        "",
        "name=b",
        "name=b&count=1",
        "count=1&id=0",
        "name=&count=1&id=0",
        "name=b&count=0&id=0",
        "name=b&count=-1&id=0",
        "name=b&count=x&id=0",
        "name=b&count=1&id=",
        "name=b&count=1&id=-1",
        "name=b&count=1.0&id=0",
        "name=b&count=%D9%A3&id=0",
        "name=b&name=c&count=1&id=0",
        "name=%ff&count=1&id=0",
        "name=%0a&count=1&id=0",
        "name=b&count=99999999999999999999999999&id=0",
        '{"name": "b", "count": 1, "id": 0}',
    ],
)
async def test_wrong_parameters(client: Client, coordinator: Coordinator, form: str) -> None:
    is_text(await client.post("/admin/barrier/set", content=form), 400, "Wrong Parameters.\n")
    assert coordinator.barriers() == []


async def test_a_barrier_status_without_a_name(client: Client) -> None:
    for path in ("/admin/barrier/status", "/admin/barrier/status?name="):
        is_text(await client.get(path), 400, "Wrong Parameters: Missing Barrier Name.\n")


async def test_schema(client: Client) -> None:
    assert (await client.get("/admin/schema")).content == SCHEMA_TEXT


async def test_init_info(client: Client, coordinator: Coordinator, document: Document) -> None:
    response = await client.get("/admin/init-info/dataloader")
    assert response.status_code == 503
    assert response.headers["content-type"].startswith("text/plain")
    assert response.headers["retry-after"] == "1"
    assert "ask again" in response.text
    coordinator.accept_loaders.set()
    response = await client.get("/admin/init-info/dataloader")
    is_text(response, 503, response.text)
    assert "dgs query install" in response.text
    await coordinator.install(document())
    info = (await client.get("/admin/init-info/dataloader")).json()
    assert info["downstream"]["partition"] == {"data_partition_num": P, "kafka_router": [0, 1, 2, 3]}
    assert info["downstream"]["kafka"] == {"brokers": [], "topic": "record-batches", "partitions": P}
    assert info["schema"] == json.loads(SCHEMA_TEXT)
    assert (info["bus"], info["generation"], info["partitions"], info["dimensions"]) == ("memory://", 1, P, [])


async def test_a_checkpoint_that_there_cannot_be_is_refused_honestly(client: Client) -> None:
    failed = "Creating Sampling Worker Checkpoint Failed.\nCreating Serving Worker Checkpoint Failed.\n"
    why = "checkpoints need a bus in files, and this deployment's is not; its own tools back it up\n"
    is_text(await client.post("/admin/checkpoint"), 503, failed + why)


async def test_everything_else(client: Client) -> None:
    for path in ("/admin/", "/admin/nothing", "/admin/query", "/admin/init/x", "/admin/barrier/status"):
        is_text(await client.post(path), 400, "Unsupported POST Request.\n")
    for path in ("/admin", "/admin/", "/admin/init", "/admin/barrier", "/admin/checkpoint"):
        is_text(await client.get(path), 400, "Unsupported GET Request.\n")
    for method in ("PUT", "DELETE", "PATCH", "OPTIONS", "TRACE"):
        is_text(await client.request(method, "/admin/init"), 400, f"Unsupported {method} Request.\n")


async def test_errors_are_text_while_the_service_starts() -> None:
    async with Client(transport=httpx.ASGITransport(Gate()), base_url="http://dgs") as client:
        for path in ("/admin", "/admin/", "/admin/init-info/dataloader"):
            response = await client.get(path)
            is_text(response, 503, "the service is starting; ask again in a moment\n")
            assert response.headers["retry-after"] == "1"
        assert (await client.get("/administration")).headers["content-type"] == "application/problem+json"


async def test_a_trailing_slash_is_forgiven(client: Client, document: Document) -> None:
    is_text(await client.post("/admin/init/", content=document()), 200, "Install Successfully.\n")


async def test_a_bus_that_refuses(client: Client, bus: MemoryBus, document: Document) -> None:
    await bus.close()
    response = await client.post("/admin/init", content=document())
    assert response.status_code == 503
    assert response.headers["content-type"].startswith("text/plain")


async def test_a_failure_inside(client: Client, coordinator: Coordinator, monkeypatch: pytest.MonkeyPatch) -> None:
    def fail(name: str) -> None:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(coordinator, "barrier", fail)
    is_text(await client.get("/admin/barrier/status?name=b"), 500, "something went wrong in the service; its log says what\n")

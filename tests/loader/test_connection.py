"""The shared connection: addresses, errors by status, and a server that is away for a while."""

import json
import threading
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
from dgs_client import connection
from dgs_client.connection import Connection

from dgs.core.errors import (
    ConflictError,
    DeadlineError,
    DgsError,
    InputError,
    NotFoundError,
    NotReadyError,
    TooLargeError,
    UnreachableError,
)
from tests.loader.coordinator import FakeCoordinator


class Echo(BaseHTTPRequestHandler):
    """Answers `/STATUS` with that status and what it was sent; `/hang` never."""

    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    connections: set[int] = set()  # noqa: RUF012  # shared by all handlers on purpose
    released = threading.Event()

    def do_GET(self) -> None:
        self.answer("")

    def do_POST(self) -> None:
        self.answer(self.rfile.read(int(self.headers["Content-Length"])).decode())

    def answer(self, body: str) -> None:
        Echo.connections.add(self.client_address[1])
        kind, _, status = self.path.partition("?")[0].rpartition("/")
        if status == "hang":
            Echo.released.wait(20)
            return
        if kind.endswith("/problem"):
            document = {"title": "T", "detail": "the detail"} | ({"problems": ["one", "two"]} if status == "422" else {})
            text, content = json.dumps(document), "application/problem+json; charset=utf-8"
        elif kind.endswith("/html"):
            text, content = "<html>nothing here</html>", "text/html; charset=utf-8"
        elif kind.endswith("/admin"):
            text, content = "Wrong Parameters.\n", "text/plain"
        else:
            sent = {"path": self.path, "body": body, "type": self.headers.get("Content-Type"), "accept": self.headers.get("Accept")}
            text, content = json.dumps(sent), "application/json"
        self.send_response(int(status))
        self.send_header("Content-Type", content)
        self.send_header("Content-Length", str(len(text)))
        self.end_headers()
        self.wfile.write(text.encode())

    def log_message(self, format: str, *args: object) -> None:
        pass


@pytest.fixture(scope="module")
def port() -> Iterator[int]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Echo)
    server.daemon_threads = True
    server.block_on_close = False
    threading.Thread(target=server.serve_forever, args=(0.01,), daemon=True).start()
    yield server.server_address[1]
    Echo.released.set()
    server.shutdown()
    server.server_close()


@pytest.fixture
def client(port: int) -> Iterator[Connection]:
    with Connection(f"127.0.0.1:{port}", retry_timeout_s=0) as c:
        yield c


def test_what_is_sent(client: Connection) -> None:
    assert client.get("/200", {"name": "a b&c", "vid": [1, -2]}).json()["path"] == "/200?name=a+b%26c&vid=1&vid=-2"
    sent = client.post_json("/200", {"dim": 3}, headers={"Accept": "x/y"}).json()
    assert (json.loads(sent["body"]), sent["type"], sent["accept"]) == ({"dim": 3}, "application/json", "x/y")
    response = client.get("/200")
    assert (response.status, response.headers["content-type"]) == (200, "application/json")
    assert json.loads(response.text) == response.json()


def test_one_connection_serves_many_requests(client: Connection) -> None:
    Echo.connections.clear()
    for _ in range(5):
        client.get("/200")
    with pytest.raises(NotFoundError):
        client.get("/404")
    client.get("/200")
    assert len(Echo.connections) == 1


def test_addresses(port: int) -> None:
    for server in (f"127.0.0.1:{port}", f"http://127.0.0.1:{port}", f"http://127.0.0.1:{port}/", f"http://localhost:{port}"):
        with Connection(server) as client:
            assert client.get("/200").json()["path"] == "/200"
    with Connection(f"http://127.0.0.1:{port}/prefix/") as client:
        assert client.get("/200").json()["path"] == "/prefix/200"
    parsed = connection._address
    assert parsed("somewhere") == (False, "somewhere", 8700, "")
    assert parsed("http://somewhere") == (False, "somewhere", 80, "")
    assert parsed("https://somewhere/x") == (True, "somewhere", 443, "/x")
    assert parsed("[::1]:99") == (False, "::1", 99, "")


@pytest.mark.parametrize(
    "server", ["", "ftp://x", "host:port", "host:99999", "http://", "http://h?x=1", "http://[::1", "[x]", "http://a..b"]
)
def test_a_server_that_cannot_be_understood(server: str) -> None:
    with pytest.raises(InputError, match="is no server"):
        Connection(server)


@pytest.mark.parametrize(
    ("status", "error"),
    [
        (400, InputError),
        (404, NotFoundError),
        (409, ConflictError),
        (413, TooLargeError),
        (418, InputError),
        (422, InputError),
        (503, NotReadyError),
        (504, DeadlineError),
    ],
)
def test_a_status_becomes_its_error_with_the_words_of_the_problem(client: Connection, status: int, error: type[DgsError]) -> None:
    with pytest.raises(error) as e:
        client.get(f"/problem/{status}")
    assert type(e.value) is error
    assert str(e.value) == ("one; two" if status == 422 else "the detail")
    if isinstance(e.value, InputError):
        assert e.value.problems == (["one", "two"] if status == 422 else ["the detail"])


def test_plain_text_and_other_statuses(client: Connection) -> None:
    with pytest.raises(InputError) as e:
        client.get("/admin/400")
    assert e.value.problems == ["Wrong Parameters."]
    with pytest.raises(DgsError, match="answered 500: the detail") as other:
        client.get("/problem/500")
    assert type(other.value) is DgsError
    with pytest.raises(DgsError, match="answered 302"):
        client.get("/problem/302")


@pytest.mark.parametrize("status", [302, 400, 404, 500, 503])
def test_the_words_of_something_that_is_no_service_are_not_told(client: Connection, status: int) -> None:
    with pytest.raises(DgsError) as e:
        client.get(f"/html/{status}")
    assert str(e.value) == f"{client.server} answered {status}; is it a dgs service?"


def test_the_default_server_under_any_name() -> None:
    assert [Connection(s).to_default for s in ("127.0.0.1", "127.0.0.1:8700", "http://127.0.0.1:8700/")] == [True] * 3
    assert [Connection(s).to_default for s in ("http://127.0.0.1", "https://127.0.0.1:8700", "other", "127.0.0.1/x")] == [False] * 4


def test_nobody_there() -> None:
    coordinator = FakeCoordinator({}, "")
    start_s = time.monotonic()
    with pytest.raises(UnreachableError) as e:
        Connection(coordinator.url, retry_timeout_s=0.4).get("/x")
    assert 0.4 <= time.monotonic() - start_s < 2
    assert coordinator.url in str(e.value)
    assert "is `dgs up` running there?" in str(e.value)
    assert e.value.exit_code == 3


def test_a_name_that_does_not_exist_is_not_tried_again() -> None:
    start_s = time.monotonic()
    with pytest.raises(UnreachableError):
        Connection("no-such-host.invalid", retry_timeout_s=30).get("/x")
    assert time.monotonic() - start_s < 10


def test_a_server_that_comes_back() -> None:
    coordinator = FakeCoordinator({}, "")
    timers = [threading.Timer(0.5, coordinator.start)]
    timers[0].start()

    def status() -> str:
        return str(own.get("/barriers/x").json()["state"])

    with Connection(coordinator.url, retry_timeout_s=20) as own:
        try:
            assert status() == "NOT_SET"
            coordinator.stop()
            timers.append(threading.Timer(0.5, coordinator.start))
            timers[1].start()
            assert status() == "NOT_SET"
            coordinator.not_ready = 3
            assert status() == "NOT_SET"
            coordinator.drops = 2
            assert own.post_json("/barriers/x", {"count": 1, "loader_id": 0}).json()["state"] == "PRODUCED"
            assert len(coordinator.posted("/barriers/x")) == 3
        finally:
            for timer in timers:
                timer.join()
            coordinator.stop()


def test_a_connection_that_the_server_closed_while_idle_costs_no_retry() -> None:
    coordinator = FakeCoordinator({}, "")
    coordinator.start()
    try:
        with Connection(coordinator.url, retry_timeout_s=0) as client:
            for _ in range(2):
                assert client.get("/barriers/x").json()["state"] == "NOT_SET"
                coordinator.stop()
                coordinator.start()
            coordinator.stop()
            with pytest.raises(UnreachableError):
                client.get("/barriers/x")
    finally:
        coordinator.stop()


def test_not_ready_for_too_long_is_unreachable_with_its_words() -> None:
    coordinator = FakeCoordinator({}, "")
    coordinator.start()
    coordinator.not_ready = 1000
    try:
        with (
            Connection(coordinator.url, retry_timeout_s=0.3) as client,
            pytest.raises(UnreachableError, match=r"answers 503: starting \(asked for 0\.3 s\)"),
        ):
            client.get("/x")
        with Connection(coordinator.url, retry_timeout_s=0) as client, pytest.raises(NotReadyError, match="starting"):
            client.get("/x")
    finally:
        coordinator.stop()


def test_closing_ends_a_request_in_another_thread(port: int) -> None:
    for path, server in (("/hang", f"127.0.0.1:{port}"), ("/x", FakeCoordinator({}, "").url)):
        client = Connection(server, retry_timeout_s=60)
        closing = threading.Timer(0.2, client.close)
        closing.start()
        start_s = time.monotonic()
        with pytest.raises(UnreachableError, match="was closed"):
            client.get(path)
        assert time.monotonic() - start_s < 5
        closing.join()
        with pytest.raises(UnreachableError, match="was closed"):
            client.get(path)


@pytest.mark.parametrize("body", [b"\xff<html>", b"[]", b"null", b"7", b'"state"', b"{}"])
def test_an_answer_that_no_service_gives(body: bytes) -> None:
    with pytest.raises(DgsError, match=r"^there:1 answers, but not as a dgs service does") as e:
        connection.Response("there:1", 200, {}, body).json()["state"]
    assert e.value.exit_code == 1

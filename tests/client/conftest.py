"""A stand-in for a service: what it answers is a function, what it was asked is remembered."""

import json
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

import pytest
from dgs_client import Client
from dgs_client.message import MEDIA_TYPE


class Asked(NamedTuple):
    """A request."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes

    @property
    def path(self) -> str:
        return urlsplit(self.target).path

    @property
    def parameters(self) -> dict[str, str]:
        return {name: value for name, (value,) in parse_qs(urlsplit(self.target).query, strict_parsing=True).items()}

    def json(self) -> Any:
        return json.loads(self.body)


class Answer(NamedTuple):
    """An answer."""

    status: int
    media_type: str
    body: bytes


def as_json(value: Any) -> Answer:
    return Answer(200, "application/json", json.dumps(value).encode())


def as_message(data: bytes) -> Answer:
    return Answer(200, MEDIA_TYPE, data)


def problem(status: int, *problems: str) -> Answer:
    document = {"status": status, "title": "T", "detail": "; ".join(problems), "problems": problems}
    return Answer(status, "application/problem+json", json.dumps(document).encode())


@dataclass
class StandIn:
    """Answers what `answer` says; `asked` has the requests in their order."""

    answer: Callable[[Asked], Answer] = lambda _: problem(404, "nothing here")
    asked: list[Asked] = field(default_factory=list)
    url: str = ""

    def handler(self) -> type[BaseHTTPRequestHandler]:
        stand_in = self

        class Handler(BaseHTTPRequestHandler):
            protocol_version = "HTTP/1.1"
            disable_nagle_algorithm = True

            def do_GET(self) -> None:
                body = self.rfile.read(int(self.headers.get("content-length", 0)))
                asked = Asked(self.command, self.path, {k.lower(): v for k, v in self.headers.items()}, body)
                stand_in.asked.append(asked)
                status, media_type, content = stand_in.answer(asked)
                self.send_response(status)
                self.send_header("content-type", media_type)
                self.send_header("content-length", str(len(content)))
                self.end_headers()
                with suppress(BrokenPipeError):  # who asked may have given up
                    self.wfile.write(content)

            do_POST = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


@contextmanager
def standing_in() -> Iterator[StandIn]:
    """Give a stand-in that listens for the length of a block."""
    made = StandIn()
    with ThreadingHTTPServer(("127.0.0.1", 0), made.handler()) as server:
        server.daemon_threads = True
        made.url = f"http://127.0.0.1:{server.server_port}"
        thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
        thread.start()
        try:
            yield made
        finally:
            server.shutdown()
            thread.join()


@pytest.fixture
def stand_in() -> Iterator[StandIn]:
    with standing_in() as made:
        yield made


@pytest.fixture
def client(stand_in: StandIn) -> Iterator[Client]:
    with Client(stand_in.url, retry_timeout_s=0) as client:
        yield client

"""A stand-in for a service: answers by a table, and remembers what it was asked."""

import json
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest
from click.testing import CliRunner, Result

from dgs.cli import main

Answer = tuple[int, str, bytes]


def as_json(value: Any, status: int = 200) -> Answer:
    return status, "application/json", json.dumps(value).encode()


def problem(status: int, **fields: Any) -> Answer:
    return status, "application/problem+json", json.dumps({"status": status, **fields}).encode()


def text(words: str, status: int = 200) -> Answer:
    return status, "text/plain; charset=utf-8", words.encode()


@dataclass
class FakeService:
    """`answers` by "METHOD path"; several for one are given in turn, the last one for ever. `asked` is what came in."""

    port: int = 0
    answers: dict[str, list[Answer]] = field(default_factory=dict)
    asked: list[tuple[str, str, bytes]] = field(default_factory=list)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def on(self, request: str, *answers: Answer) -> None:
        self.answers[request] = list(answers)

    def answer(self, method: str, target: str, body: bytes) -> Answer:
        if target == "/livez":
            return text("ok")
        self.asked.append((method, target, body))
        turn = self.answers.get(f"{method} {target}") or self.answers.get(f"{method} {target.partition('?')[0]}")
        if turn is None:
            return problem(404, title="Not found", detail=f"no {target}")
        return turn.pop(0) if len(turn) > 1 else turn[0]

    @contextmanager
    def running(self, port: int = 0) -> Iterator[None]:
        with ThreadingHTTPServer(("127.0.0.1", port), self._handler()) as server:
            server.daemon_threads = True
            self.port = server.server_port
            thread = threading.Thread(target=server.serve_forever, args=[0.01], daemon=True)
            thread.start()
            try:
                yield
            finally:
                server.shutdown()
                thread.join()

    def _handler(self) -> type[BaseHTTPRequestHandler]:
        service = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                length = int(self.headers.get("content-length", 0))
                status, content_type, body = service.answer(self.command, self.path, self.rfile.read(length))
                self.send_response(status)
                self.send_header("content-type", content_type)
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            do_POST = do_GET

            def log_message(self, format: str, *args: Any) -> None:
                pass

        return Handler


@pytest.fixture
def service() -> Iterator[FakeService]:
    fake = FakeService()
    with fake.running():
        yield fake


Dgs = Callable[..., Result]


@pytest.fixture
def dgs(monkeypatch: pytest.MonkeyPatch) -> Dgs:
    """Run a command line in this process."""
    monkeypatch.delenv("DGS_SERVER", raising=False)

    def run(*arguments: object) -> Result:
        return CliRunner().invoke(main, [str(a) for a in arguments], prog_name="dgs")

    return run

"""Requests that follow the OpenAPI document, and such that do not: answers are as it says, and never 500."""

import http.client
import json
import socket
from collections.abc import Iterator
from contextlib import closing
from typing import Any
from urllib.parse import urlsplit

import pytest
import schemathesis
from hypothesis import strategies as st
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.result import Ok
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

from tests.fuzz.fuzzing import Fuzzer
from tests.fuzz.logs import PLAN
from tests.fuzz.mutations import damaged, damaged_documents
from tests.fuzz.service import serving

CONFORMANCE = [status_code_conformance, content_type_conformance, response_headers_conformance, response_schema_conformance]
UNDERSTOOD = {503, 504}
"""Statuses from 500 on that say something else than a fault; so does 501 of what is not built yet."""


@pytest.fixture(scope="module")
def url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with serving(tmp_path_factory.mktemp("service")) as url:
        yield url


def test_the_document(fuzzer: Fuzzer, url: str) -> None:
    """Every operation, with what it takes and with what it does not."""
    document = schemathesis.openapi.from_url(f"{url}/openapi.json")
    operations = [found.ok() for found in document.get_all_operations() if isinstance(found, Ok)]
    assert len(operations) > 20
    modes = (GenerationMode.POSITIVE, GenerationMode.NEGATIVE)
    cases = st.one_of([o.as_strategy(generation_mode=mode) for o in operations for mode in modes])

    def check(case: Any) -> None:
        response = case.call()
        case.validate_response(response, checks=CONFORMANCE)
        if response.status_code not in UNDERSTOOD and case.operation.path != "/admin/checkpoint":
            case.validate_response(response, checks=[not_a_server_error])

    fuzzer.run(check, cases, count=150)


WORDS = [
    "/samples",
    "/samples?vid=1",
    "/infer?qid=0&vid=1",
    "/queries",
    "/barriers/b",
    "/dimensions",
    "/admin/init",
    "/admin/barrier/set",
    "/",
]
PARAMETERS = [
    "vid=1",
    "query=q0",
    "fanouts=3,2",
    "fanouts=",
    "min_position=1:0:0",
    "timeout_ms=0",
    "scores=true",
    "qid=0",
    "name=x",
    "%ff=%00",
]


@st.composite
def requests(draw: st.DrawFn) -> tuple[str, str, bytes, dict[str, str]]:
    """Method, target, body and headers, each nearly right."""
    target = draw(st.sampled_from(WORDS))
    more = draw(st.lists(st.sampled_from(PARAMETERS), max_size=3))
    if more:
        target += ("&" if "?" in target else "?") + "&".join(more)
    seeds = {"vids": [1, 2, -5], "query": 0, "fanouts": [3, 2], "min_position": ["1:0:0"], "timeout_ms": 5, "scores": True}
    others = [seeds, {"vids": [1]}, {"count": 1, "loader_id": 0}, {"kind": "vertex", "type": 0, "attribute": 2, "dim": 2}, PLAN]
    body = damaged_documents(others).map(lambda document: json.dumps(document).encode())
    deep = st.sampled_from([100, 300, 900, 2000]).map(lambda n: b'{"vids": ' + b"[" * n + b"]" * n + b"}")
    accept = draw(st.sampled_from(["*/*", "application/json", "application/x-protobuf", "application/x-protobuf;q=x, */*;q=0"]))
    method = draw(st.sampled_from(["GET", "POST", "POST", "PUT", "HEAD", "OPTIONS"]))
    return method, target, draw(body | deep | damaged([b"name=b&count=1&id=0"])), {"accept": accept}


def test_requests(fuzzer: Fuzzer, url: str) -> None:
    server = urlsplit(url).netloc

    def check(request: tuple[str, str, bytes, dict[str, str]]) -> None:
        method, target, body, headers = request
        with closing(http.client.HTTPConnection(server, timeout=30)) as connection:
            connection.request(method, target, body, headers)
            answer = connection.getresponse()
            text = answer.read()
        assert answer.status < 500 or answer.status in UNDERSTOOD, text
        if answer.status >= 400 and method != "HEAD" and not target.startswith("/admin/"):
            assert answer.headers["content-type"] == "application/problem+json"
            assert json.loads(text)["problems"]

    fuzzer.run(check, requests(), count=150)


HEADS = [
    b"GET /samples?vid=1 HTTP/1.1\r\nhost: x\r\n\r\n",
    b'POST /samples HTTP/1.1\r\nhost: x\r\ncontent-length: 13\r\n\r\n{"vids": [1]}',
    b'POST /samples HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n4\r\n{"vi\r\n0\r\n\r\n',
    b"GET /queries/a%ffb HTTP/1.1\r\nhost: x\r\nconnection: upgrade\r\nupgrade: websocket\r\n\r\n",
]


def test_bytes(fuzzer: Fuzzer, url: str) -> None:
    """What is no HTTP, or nearly: the connection ends, with an answer or without, and the service goes on."""
    host, port = urlsplit(url).hostname, urlsplit(url).port

    def check(data: bytes) -> None:
        with socket.create_connection((host, port), timeout=30) as connection:
            try:
                connection.sendall(data)
                connection.shutdown(socket.SHUT_WR)
                answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
            except (ConnectionResetError, BrokenPipeError):
                answer = b""
        statuses = [line.split()[1] for line in answer.split(b"\r\n") if line.startswith(b"HTTP/1.1 ")]
        assert not [s for s in statuses if s.startswith(b"5") and int(s) not in UNDERSTOOD]

    fuzzer.run(check, damaged(HEADS), count=150)
    with closing(http.client.HTTPConnection(host or "", port, timeout=30)) as connection:
        connection.request("GET", "/samples?vid=1")
        assert connection.getresponse().status == 200

"""One HTTP/1.1 connection to a service, kept alive, shared by loader, commands and client.

It turns what goes wrong into the system's own errors, rides out a service that is away for a while, and tells an answer that no
service gives. It interprets answers no further. Requests may be sent more than once when an answer is lost, so it is for requests
that bear repetition, as all of the service's do. One thread at a time; `close` alone may be called from another.
"""

import contextlib
import http.client
import json
import socket
import ssl
import threading
import time
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NoReturn
from urllib.parse import urlencode, urlsplit

from dgs.backoff import Backoff
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

DEFAULT_PORT = 8700
"""The port of `dgs up`, for a server that is given as a bare host."""
DEFAULT_SERVER = f"127.0.0.1:{DEFAULT_PORT}"
_TOLD_TYPES = ("application/problem+json", "application/json", "text/plain")
"""Media types in which a service says what is wrong; a body of another type was written by something else."""
_FIRST_PAUSE_S = 0.05
_PAUSE_S_MAX = 2.0
_ERRORS: dict[int, type[DgsError]] = {
    404: NotFoundError,
    409: ConflictError,
    413: TooLargeError,
    503: NotReadyError,
    504: DeadlineError,
}


class Document(dict[str, Any]):
    """The members of a JSON object that a server answered.

    Raises:
        DgsError: where a member is taken that it does not have.
    """

    def __init__(self, members: Mapping[str, Any], server: str) -> None:
        super().__init__(members)
        self._server = server

    def __missing__(self, member: str) -> NoReturn:
        raise _foreign(self._server, f"no {member!r} in its answer")


@dataclass(frozen=True, slots=True)
class Response:
    """An answer with a status below 300. Header names are in lower case."""

    server: str
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def text(self) -> str:
        """The body as UTF-8; what is not UTF-8 is replaced."""
        return self.body.decode("utf-8", "replace")

    def json(self) -> Document:
        """Return the JSON object that the body is, which every JSON answer of a service is.

        Raises:
            DgsError: it is something else.
        """
        try:
            found = json.loads(self.body)
        except ValueError:
            raise _foreign(self.server, f"not JSON: {_shortened(self.text, 80)!r}") from None
        if not isinstance(found, dict):
            raise _foreign(self.server, f"no JSON object: {_shortened(self.text, 80)!r}")
        return Document(found, self.server)


@dataclass(frozen=True, slots=True)
class Patience:
    """How long one request is waited for.

    Attributes:
        timeout_s: how long one connect or one read may take.
        retry_timeout_s: how long the request is repeated while the server is away; 0 for never.
    """

    timeout_s: float
    retry_timeout_s: float


_NOT_READY = "answers 503"


class Connection:
    """A connection to one server, opened by the first request and again whenever it broke.

    Args:
        server: a URL (a path in it becomes a prefix), `host:port`, or a host (then with the port of `dgs up`).
        retry_timeout_s: how long a request is repeated while the server refuses, resets or answers 503; 0 for never.
        timeout_s: how long one connect or one read may take.

    Raises:
        InputError: the server cannot be understood.
    """

    def __init__(self, server: str, *, retry_timeout_s: float = 60.0, timeout_s: float = 30.0) -> None:
        self.server = server
        self.retry_timeout_s = retry_timeout_s
        self.timeout_s = timeout_s
        self._secure, self._host, self._port, self._prefix = _address(server)
        self._http: http.client.HTTPConnection | None = None
        self._closed = threading.Event()

    def get(self, path: str, params: Mapping[str, object] | None = None, *, headers: Mapping[str, str] | None = None) -> Response:
        """Ask for a path. Raises as `request` does."""
        return self.request("GET", with_parameters(path, params), headers=headers)

    def post_json(self, path: str, obj: object, *, headers: Mapping[str, str] | None = None) -> Response:
        """Send an object as JSON. Raises as `request` does."""
        return self.request("POST", path, json.dumps(obj).encode(), {"Content-Type": "application/json", **(headers or {})})

    def request(
        self,
        method: str,
        path: str,
        body: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        *,
        patience: Patience | None = None,
    ) -> Response:
        """Send one request, again and again while the server is away, and return the answer.

        Args:
            method: of HTTP.
            path: with its parameters.
            body: the content.
            headers: besides those that HTTP needs.
            patience: for this request; otherwise that of the connection.

        Raises:
            UnreachableError: the server was away, or answered 503, for `retry_timeout_s`; or its name or certificate is wrong.
            NotReadyError: status 503, where nothing is retried.
            NotFoundError, ConflictError, TooLargeError, DeadlineError: status 404, 409, 413, 504.
            InputError: status 422, 400 and the other 4xx.
            DgsError: any other status from 300 on.
        """
        patience = patience or Patience(self.timeout_s, self.retry_timeout_s)
        give_up_s = time.monotonic() + patience.retry_timeout_s
        backoff = Backoff(_FIRST_PAUSE_S, _PAUSE_S_MAX)
        while True:
            if self._closed.is_set():
                raise self._unreachable("closed", patience)
            kept_alive = self._http is not None
            try:
                response = self._send(method, path, body, headers or {}, patience.timeout_s)
                if response.status < 300:
                    return response
                error = error_of(response)
                if response.status != 503 or not patience.retry_timeout_s:
                    raise error
                what = f"{_NOT_READY}: {error}"
            except (socket.gaierror, ssl.SSLCertVerificationError) as e:
                if isinstance(e, socket.gaierror) and e.errno == socket.EAI_AGAIN:
                    what = str(e)
                else:
                    raise self._unreachable(str(e), patience) from None
            except (OSError, http.client.HTTPException) as e:
                # A server may close an idle connection at any time: that says nothing about whether it is there. Silence does.
                if kept_alive and not isinstance(e, TimeoutError):
                    continue
                what = str(e) or type(e).__name__
            left_s = give_up_s - time.monotonic()
            if left_s <= 0 or self._closed.wait(min(backoff.next(), left_s)):
                raise self._unreachable(what, patience) from None

    def close(self) -> None:
        """End the connection; a request that is under way or waits to be repeated in another thread ends with UnreachableError."""
        self._closed.set()
        current = self._http
        if current is not None and current.sock is not None:
            with contextlib.suppress(OSError):
                current.sock.shutdown(socket.SHUT_RDWR)  # close() alone would not wake a read in another thread
            current.close()

    @property
    def to_default(self) -> bool:
        """Whether this leads to the server that commands ask unless they are told another, however it was spelled."""
        return (self._secure, self._host, self._port, self._prefix) == _address(DEFAULT_SERVER)

    def __enter__(self) -> "Connection":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _send(self, method: str, path: str, body: bytes | None, headers: Mapping[str, str], timeout_s: float) -> Response:
        if self._http is None:
            kind = http.client.HTTPSConnection if self._secure else http.client.HTTPConnection
            self._http = kind(self._host, self._port)
        self._http.timeout = timeout_s
        if self._http.sock is not None:
            self._http.sock.settimeout(timeout_s)
        try:
            self._http.request(method, self._prefix + path, body, dict(headers))
            answer = self._http.getresponse()
            content = answer.read()
        except BaseException:
            # Half an answer may still be on its way: nothing else can be sent on this connection.
            self._http.close()
            self._http = None
            raise
        if answer.will_close:
            self._http = None
        return Response(self.server, answer.status, {k.lower(): v for k, v in answer.getheaders()}, content)

    def _unreachable(self, what: str, patience: Patience) -> UnreachableError:
        if self._closed.is_set():
            return UnreachableError(f"the connection to {self.server} was closed")
        tried = f" for {patience.retry_timeout_s:g} s" if patience.retry_timeout_s else ""
        if what.startswith(_NOT_READY):
            return UnreachableError(f"{self.server} {what} (asked{tried})")
        return UnreachableError(
            f"no usable answer from {self.server}{tried} ({what}); is `dgs up` running there? If elsewhere, name its host and port"
        )


def with_parameters(path: str, params: Mapping[str, object] | None) -> str:
    """Return a path with the parameters of its query string, as UTF-8."""
    return f"{path}?{urlencode(params, doseq=True)}" if params else path


def url_of(server: str) -> str:
    """Return the URL of a server that is given as a URL, `host:port`, or a host, without a slash at its end.

    Raises:
        InputError: it cannot be understood.
    """
    secure, host, port, prefix = _address(server)
    shown = f"[{host}]" if ":" in host else host
    return f"{'https' if secure else 'http'}://{shown}:{port}{prefix}"


def _address(server: str) -> tuple[bool, str, int, str]:
    wrong = InputError(f"{server!r} is no server: give http://HOST:PORT, HOST:PORT or HOST")
    try:
        parts = urlsplit(server if "://" in server else "//" + server)
        port = parts.port
        (parts.hostname or "").encode("idna")  # as the look-up of the name will do
    except ValueError:
        raise wrong from None
    if parts.scheme not in ("", "http", "https") or not parts.hostname or parts.query or parts.fragment:
        raise wrong
    secure = parts.scheme == "https"
    default = {"": DEFAULT_PORT, "http": 80, "https": 443}[parts.scheme]
    return secure, parts.hostname, default if port is None else port, parts.path.rstrip("/")


def is_loopback(server: str) -> bool:
    """Whether a server is on this very host, as its address tells.

    Raises:
        InputError: the server cannot be understood.
    """
    host = _address(server)[1]
    return host in ("localhost", "::1") or host.startswith("127.")


def error_of(response: Response) -> DgsError:
    """Return the error that an answer with a status from 300 on stands for, in the words of its document, or of its plain text."""
    problems: list[str] = []
    media_type = response.headers.get("content-type", "").partition(";")[0].strip().lower()
    if media_type.endswith("json"):
        try:
            document = json.loads(response.body)
        except ValueError:
            document = None
        if isinstance(document, dict):
            listed = document.get("problems")
            if isinstance(listed, list):
                problems = [p if isinstance(p, str) else json.dumps(p) for p in listed]
            if not problems and (detail := document.get("detail") or document.get("title")):
                problems = [detail if isinstance(detail, str) else json.dumps(detail)]
    told = "; ".join(problems) or (_shortened(response.text.strip()) if media_type in _TOLD_TYPES else "")
    message = told or f"{response.server} answered {response.status}; is it a dgs service?"
    kind = _ERRORS.get(response.status)
    if kind is not None:
        return kind(message)
    if 400 <= response.status < 500:
        return InputError(problems or message)
    return DgsError(f"the service answered {response.status}: {message}" if told else message)


def _foreign(server: str, why: str) -> DgsError:
    return DgsError(f"{server} answers, but not as a dgs service does ({why}); is it the right host and port?")


def _shortened(text: str, chars_max: int = 500) -> str:
    return text if len(text) <= chars_max else text[:chars_max] + "…"

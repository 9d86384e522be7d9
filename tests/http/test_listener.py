"""The listening socket: a port in use is said so, a predecessor that goes down is waited for."""

import socket
import threading
import time

import pytest

from dgs.core.errors import ConflictError, InputError
from dgs.http.listener import listen, url_of


def test_a_free_port_is_taken_and_named() -> None:
    with listen("127.0.0.1", 0) as s:
        assert url_of(s) == f"http://127.0.0.1:{s.getsockname()[1]}"


def test_the_url_of_all_interfaces_is_the_loopback() -> None:
    with listen("0.0.0.0", 0) as s:
        assert url_of(s).startswith("http://127.0.0.1:")


def test_a_port_in_use_is_an_error_that_names_it() -> None:
    with listen("127.0.0.1", 0) as s, pytest.raises(ConflictError, match=r"port \d+ of 127.0.0.1 is in use .* another --port"):
        listen("127.0.0.1", s.getsockname()[1], wait_s=0.1)


def test_a_port_that_becomes_free_is_waited_for() -> None:
    with listen("127.0.0.1", 0) as s:
        port = s.getsockname()[1]
        threading.Timer(0.3, s.close).start()
        began = time.monotonic()
        listen("127.0.0.1", port).close()
        assert time.monotonic() - began >= 0.2


@pytest.mark.parametrize("host", ["no-such-host.invalid", "203.0.113.7"])
def test_a_host_that_is_not_ours_is_an_error(host: str) -> None:
    with pytest.raises(InputError, match=f"cannot listen on {host}:0"):
        listen(host, 0)


def test_connections_wait_in_the_socket() -> None:
    with listen("127.0.0.1", 0) as s, socket.create_connection(s.getsockname()[:2], timeout=1):
        pass

"""The sockets that requests arrive at, bound by the parent process, so that a port in use is told before anything is started.

The parent keeps them open while it lives: a child that is started again goes on with the connections that waited meanwhile. A port
that several processes share is the exception: each binds it for itself, so that the system spreads connections evenly over them.
"""

import errno
import socket
import time

from dgs.core.errors import ConflictError, InputError

BIND_WAIT_S = 3.0
"""How long a port in use is tried for: a killed predecessor may still be going down."""
BIND_RETRY_S = 0.05
BACKLOG = 2048


def listen(host: str, port: int, *, shared: bool = False, wait_s: float = BIND_WAIT_S) -> socket.socket:
    """Return a listening TCP socket; port 0 takes a free one. One that is `shared` lets other processes listen there, too.

    Raises:
        ConflictError: the port is in use and stays so for `wait_s` seconds.
        InputError: the host is unknown or not of this machine, or the port is not allowed.
    """
    deadline = time.monotonic() + wait_s
    while True:
        try:
            listening = _bind(host, port, shared=shared)
            listening.listen(BACKLOG)
            return listening
        except OSError as e:
            if e.errno != errno.EADDRINUSE:
                raise InputError(f"cannot listen on {host}:{port}: {e.strerror or e}; give another --host or --port") from None
        if time.monotonic() >= deadline:
            raise ConflictError(f"port {port} of {host} is in use by another process; stop that, or give another --port")
        time.sleep(BIND_RETRY_S)


def reserve(host: str, port: int) -> socket.socket:
    """Return a socket that keeps a port, free until now, for processes that are going to share it; it takes no connections itself.

    Raises:
        ConflictError, InputError: as `listen`.
    """
    with listen(host, port) as alone:
        port = alone.getsockname()[1]
    return _bind(host, port, shared=True)


def url_of(listening: socket.socket) -> str:
    """Return the URL under which this machine reaches the socket."""
    host, port = listening.getsockname()[:2]
    reachable = {"0.0.0.0": "127.0.0.1", "::": "::1"}.get(host, host)
    return f"http://[{reachable}]:{port}" if ":" in reachable else f"http://{reachable}:{port}"


def _bind(host: str, port: int, *, shared: bool) -> socket.socket:
    family, kind, protocol, _, address = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE)[0]
    listening = socket.socket(family, kind, protocol)
    try:
        # A connection of the predecessor that is still in TIME_WAIT must not keep the port.
        listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if shared:
            listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEPORT, 1)
        listening.bind(address)
    except BaseException:
        listening.close()
        raise
    return listening

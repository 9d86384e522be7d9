"""The pool of connections: how many there are, who gets which, and how it ends."""

import threading

import pytest
from dgs_client.connection import Connection, Patience
from dgs_client.pool import ConnectionPool

from dgs.core.errors import DeadlineError, UnreachableError
from tests.client.conftest import Answer, Asked, StandIn, as_json


@pytest.fixture
def pool() -> ConnectionPool:
    return ConnectionPool("127.0.0.1:1", size=2, patience=Patience(5.0, 0.0))


def test_the_connection_that_was_used_last_is_used_next(pool: ConnectionPool) -> None:
    with pool.connection() as one, pool.connection() as other:
        assert one is not other
    with pool.connection() as again:
        assert again is one


def test_who_finds_none_free_waits_for_its_turn(pool: ConnectionPool) -> None:
    got: list[Connection] = []

    def borrow() -> None:
        with pool.connection(30) as connection:
            got.append(connection)

    waiting = threading.Thread(target=borrow)
    with pool.connection() as one, pool.connection():
        with pytest.raises(DeadlineError, match="a larger pool_size allows more"), pool.connection(0.01):
            pass
        waiting.start()
        assert not got
    waiting.join()
    assert got == [one]


def test_an_error_gives_the_connection_back(pool: ConnectionPool) -> None:
    for _ in range(3):
        with pytest.raises(UnreachableError), pool.connection(0.01) as connection:
            connection.get("/")


def test_closing_ends_requests_that_are_under_way(stand_in: StandIn) -> None:
    arrived, released = threading.Event(), threading.Event()

    def answer(_: Asked) -> Answer:
        arrived.set()
        released.wait(30)
        return as_json({})

    stand_in.answer = answer
    pool = ConnectionPool(stand_in.url, size=1, patience=Patience(30.0, 30.0))
    errors: list[UnreachableError] = []

    def ask() -> None:
        try:
            with pool.connection() as connection:
                connection.get("/")
        except UnreachableError as e:
            errors.append(e)

    asking = threading.Thread(target=ask)
    asking.start()
    assert arrived.wait(30)
    pool.close()
    asking.join()
    released.set()
    assert "closed" in str(errors[0])
    with pytest.raises(UnreachableError, match="closed"), pool.connection():
        pass

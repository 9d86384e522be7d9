"""Pauses double up to their limit, and begin again when told."""

from dgs.backoff import Backoff


def test_pauses_double_up_to_the_limit_and_begin_again() -> None:
    backoff = Backoff(0.5, 3.0)
    assert [backoff.next() for _ in range(5)] == [0.5, 1.0, 2.0, 3.0, 3.0]
    backoff.reset()
    assert [backoff.next() for _ in range(2)] == [0.5, 1.0]


def test_two_loops_do_not_share_their_pauses() -> None:
    one, other = Backoff(1.0, 8.0), Backoff(1.0, 8.0)
    assert [one.next(), one.next(), other.next()] == [1.0, 2.0, 1.0]

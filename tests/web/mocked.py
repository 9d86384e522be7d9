"""A service that never ran: what the page would be told, for states that a real service is in for a moment only, or hardly ever."""

import json
from collections.abc import Sequence
from typing import Any

from playwright.sync_api import Page, Request, Route

SCHEMA = {
    "vertex_defs": [{"vtype": 0, "name": "user"}, {"vtype": 1, "name": "item"}],
    "edge_defs": [{"etype": 3, "name": "follows"}, {"etype": 4, "name": "bought"}],
}
SOON_MS = 2_500
"""Longer than the page waits between two turns; its clock goes on by itself, too."""
BEGINNING = 1_715_000_000
"""Event time of the newest edge: seconds since 1970, as the page guesses."""
STARTING: dict[str, Any] = {
    "type": "urn:dgs:problem:not-ready",
    "title": "Not ready",
    "status": 503,
    "problems": ["the service is starting"],
}


def plan(fanouts: Sequence[int] = (25, 10)) -> dict[str, Any]:
    """Return an install-query document: whom a user follows, and what these have bought; deeper nodes are written first."""

    def node(number: int, kind: str, below: Sequence[int], **params: object) -> dict[str, Any]:
        links = [{"node": n, "src_output": int(kind == "EDGE_SAMPLER")} for n in below]
        return {"id": number, "kind": kind, "links": links, "params": [{"key": k, "value": v} for k, v in params.items()]}

    return {
        "query_plan": {
            "plan_nodes": [
                node(4, "EDGE_SAMPLER", [], etype="bought", fanout=fanouts[1]),
                node(2, "EDGE_SAMPLER", [4], etype=3, fanout=fanouts[0]),
                node(0, "SOURCE", [2], vtype=0),
            ]
        }
    }


def answer(
    vid: int, neighbours: Sequence[int] = (), items_each: int = 0, *, newest: int = BEGINNING, known: bool = True
) -> dict[str, Any]:
    """Return the answer of a seed with so many items at each neighbour; every third item has no record."""
    users = list(dict.fromkeys([vid, *neighbours]))
    items = list(range(1000, 1000 + items_each * len(neighbours)))
    first, second = len(neighbours), len(items)
    return {
        "query": {"id": 0, "name": "follows", "ready": True},
        "seed": {"type": "user", "id": vid, "known": known},
        "generation": 1,
        "positions": [10, 20],
        "watermark": newest,
        "pending": 0,
        "history": "full",
        "vertices": {
            "user": {
                "ids": users,
                "known": [known] * len(users),
                "attrs": {"timestamp": [newest - 3600] * len(users), "vec": [[0.5] * 64] * len(users)},
            },
            "item": {
                "ids": items,
                "known": [i % 3 > 0 for i in items],
                "attrs": {"timestamp": [newest - i if i % 3 else None for i in range(second)]},
            },
        },
        "edges": [
            {"operator": 2, "alias": "follows", "hop": 1, "type": "follows", "src_type": "user", "dst_type": "user"}
            | {
                "src": [0] * first,
                "dst": [users.index(v) for v in neighbours],
                "timestamp": [newest - 180 * i for i in range(first)],
            }
            | {"attrs": {"weight": [1.0 + i % 3 for i in range(first)]}},
            {"operator": 4, "alias": "bought", "hop": 2, "type": "bought", "src_type": "user", "dst_type": "item"}
            | {"src": [users.index(neighbours[i // items_each]) for i in range(second)], "dst": list(range(second))}
            | {"timestamp": [newest - 60 * i for i in range(second)], "attrs": {}},
        ],
    }


CLUSTER: dict[str, Any] = {
    "log_id": "00c0ffee",
    "generation": 1,
    "partitions": 2,
    "serving_partitions": 1,
    "positions": [900, 50],
    "record_ends": [1000, 50],
    "serving": [{"partition": 0, "answers": False, "caught_up": False, "positions": [900, 50], "watermark": None}],
    "queries": [],
    "orders_pending": 2,
    "checkpoint": None,
}
"""What `/cluster` said before it told of samplers."""


class MockedService:
    """Answers a page's requests from `replies`, by path: a status and a document, or None for nobody is there.

    Attributes:
        replies: what is answered; a test changes it as it goes on.
        asked: the requests for samples, path and query, in order.
    """

    def __init__(self, page: Page, origin: str) -> None:
        self.replies: dict[str, tuple[int, Any] | None] = {
            "/queries": (200, {"queries": [{"id": 0, "name": "follows", "ready": True}]}),
            "/queries/follows": (200, {"id": 0, "name": "follows", "ready": True, "document": plan()}),
            "/schema": (200, SCHEMA),
            "/samples": (200, answer(7, [1, 2, -3], 2)),
            "/cluster": (200, CLUSTER),
        }
        self.asked: list[str] = []
        self._origin, self._page = origin, page
        page.route(lambda url: self._path(url) in self.replies, self._answer)

    def change(self, **replies: tuple[int, Any] | None) -> None:
        """Answer otherwise from now on, paths without their slash, and let the page's next turn come soon."""
        self.replies.update({f"/{path}": reply for path, reply in replies.items()})
        self._page.clock.fast_forward(SOON_MS)

    def _path(self, url: str) -> str:
        return url.removeprefix(self._origin).partition("?")[0]

    def _answer(self, route: Route, request: Request) -> None:
        path = self._path(request.url)
        if path == "/samples":
            self.asked.append(request.url.removeprefix(self._origin))
        reply = self.replies[path]
        if reply is None:
            route.abort("connectionrefused")
            return
        status, document = reply
        kind = "application/json" if status == 200 else "application/problem+json"
        route.fulfill(status=status, content_type=kind, body=json.dumps(document))

"""The page at `/`: one HTML file that shows ego-graphs and the deployment in a browser, and a few lines of text for `curl`.

The page asks the same paths as everybody and nobody but this service: its policy allows its own script and style by their hashes,
and requests to where it came from, nothing else. This module knows nothing of what the page shows; `dgs.api.asgi` adds the route.
"""

import base64
import gzip
import hashlib
import re
from importlib.resources import files

from fastapi import APIRouter, Request, Response

WELCOME = """dgs: dynamic graph sampling

GET /                this, and in a browser a page that draws ego-graphs
GET /samples?vid=…   an ego-graph
GET /cluster         the deployment
GET /metrics         the same and more, for Prometheus
GET /docs            all paths
"""
_ICON = "img-src data:"
_HEADERS = {"vary": "accept, accept-encoding", "x-content-type-options": "nosniff"}


class Page:
    """The page's bytes and the headers that go with them.

    Args:
        html: a document with its styles and scripts in `<style>` and `<script>` elements without attributes.
    """

    def __init__(self, html: bytes) -> None:
        self.html = html
        self.compressed = gzip.compress(html, mtime=0)
        self.etag = f'W/"{hashlib.sha256(html).hexdigest()[:32]}"'  # weak: one for both forms
        self.headers = {
            "content-security-policy": _policy(html),
            "cache-control": "no-cache",  # kept, and asked about each time: another version of the service has another page
            "etag": self.etag,
            "referrer-policy": "no-referrer",
            **_HEADERS,
        }

    def answer(self, *, known_etags: str = "", encodings: str = "") -> Response:
        """Return the page, or 304 where the client has it.

        Args:
            known_etags: the request's If-None-Match.
            encodings: the request's Accept-Encoding.
        """
        known = {tag.strip() for tag in known_etags.split(",")}
        if known & {self.etag, self.etag.removeprefix("W/"), "*"}:
            return Response(status_code=304, headers=self.headers)
        if "gzip" in {encoding.strip() for encoding in encodings.split(",")}:
            headers = {**self.headers, "content-encoding": "gzip"}
            return Response(self.compressed, headers=headers, media_type="text/html")
        return Response(self.html, headers=self.headers, media_type="text/html")


def read_page() -> Page:
    """Return the page of this version of the service."""
    return Page(files("dgs.api").joinpath("web/index.html").read_bytes())


def page_router() -> APIRouter:
    """Return the routes."""
    router, page = APIRouter(), read_page()

    @router.head("/", include_in_schema=False)
    @router.get("/", include_in_schema=False)
    async def root(request: Request) -> Response:
        if "text/html" not in request.headers.get("accept", ""):
            return Response(WELCOME, headers=_HEADERS, media_type="text/plain")
        given = request.headers
        return page.answer(known_etags=given.get("if-none-match", ""), encodings=given.get("accept-encoding", ""))

    return router


def _policy(html: bytes) -> str:
    scripts, styles = _hashes(html, b"script"), _hashes(html, b"style")
    return (
        f"default-src 'none'; script-src {scripts}; style-src {styles}; {_ICON}; connect-src 'self'; base-uri 'none'; "
        "form-action 'none'; frame-ancestors 'none'; require-trusted-types-for 'script'; trusted-types 'none'"
    )


def _hashes(html: bytes, element: bytes) -> str:
    texts = re.findall(b"<%b>(.*?)</%b>" % (element, element), html, re.DOTALL)
    return " ".join(f"'sha256-{base64.b64encode(hashlib.sha256(text).digest()).decode()}'" for text in texts) or "'none'"

"""The page at `/` as browsers and scripts get it; what it shows is tested in a browser, in tests/web."""

import base64
import gzip
import hashlib
import re

import httpx
import pytest

from dgs.api.page import Page

BROWSER = {"accept": "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8"}


@pytest.mark.parametrize("accept", ["*/*", "text/plain", "application/json"])
async def test_scripts_get_a_few_lines_of_text(client: httpx.AsyncClient, accept: str) -> None:
    answer = await client.get("/", headers={"accept": accept})
    assert answer.headers["content-type"].startswith("text/plain")
    assert "GET /samples?vid=…" in answer.text
    assert "accept" in answer.headers["vary"]


async def test_browsers_get_the_page(client: httpx.AsyncClient) -> None:
    answer = await client.get("/?vid=42", headers=BROWSER)
    assert answer.status_code == 200
    assert answer.headers["content-type"] == "text/html; charset=utf-8"
    assert answer.headers["content-encoding"] == "gzip"
    assert answer.text.startswith("<!doctype html>")
    plain = await client.get("/", headers={**BROWSER, "accept-encoding": "identity"})
    assert "content-encoding" not in plain.headers
    assert plain.text == answer.text
    head = await client.head("/", headers=BROWSER)
    assert head.headers["etag"] == answer.headers["etag"]


async def test_a_page_that_the_browser_has_is_not_sent_again(client: httpx.AsyncClient) -> None:
    first = await client.get("/", headers=BROWSER)
    assert first.headers["cache-control"] == "no-cache"
    tag = first.headers["etag"]
    for known in (tag, tag.removeprefix("W/"), f'"other", {tag}', "*"):
        again = await client.get("/", headers={**BROWSER, "if-none-match": known})
        assert (again.status_code, again.content) == (304, b"")
        assert again.headers["etag"] == tag
    assert (await client.get("/", headers={**BROWSER, "if-none-match": '"other"'})).status_code == 200


async def test_its_policy_allows_its_own_script_and_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    answer = await client.get("/", headers=BROWSER)
    policy = dict(part.strip().split(" ", 1) for part in answer.headers["content-security-policy"].split(";"))
    assert policy["default-src"] == "'none'"
    assert policy["connect-src"] == "'self'"
    assert "unsafe" not in answer.headers["content-security-policy"]
    for element in ("script", "style"):
        (text,) = re.findall(f"<{element}>(.*?)</{element}>", answer.text, re.DOTALL)
        assert policy[f"{element}-src"] == f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
    assert re.findall(r"""(?:src|href)=["']?(?:https?:)?//""", answer.text) == [], "nothing is fetched from elsewhere"


def test_another_page_has_another_etag() -> None:
    one, other = Page(b"<script>1</script>"), Page(b"<script>2</script>")
    assert one.etag != other.etag
    assert one.headers["content-security-policy"] != other.headers["content-security-policy"]
    assert gzip.decompress(one.compressed) == one.html
    assert "style-src 'none'" in one.headers["content-security-policy"]

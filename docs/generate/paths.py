"""The page of HTTP paths, from the OpenAPI document that the service gives."""

import asyncio
import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx

from dgs.api.asgi import make_app, samples_endpoint
from dgs.api.peers import NoPeers
from dgs.bus.memory import MemoryBus
from dgs.config import Settings
from dgs.coordinator.coordinator import Coordinator
from dgs.coordinator.membership import Membership
from dgs.coordinator.state_file import StateFile
from dgs.core.deployment import Deployment
from dgs.core.schema import Schema
from dgs.core.types import PartitionIndex
from dgs.membership.heartbeat import News
from dgs.serving.worker import ServingWorker
from dgs.telemetry.telemetry import Telemetry
from docs.generate.markdown import code, page, table

_ABOUT = """\
Every path of the service, as `/openapi.json` describes it. While the service is starting, everything but `/livez` answers 503. What
answers mean, with examples: [../http.md](../http.md); errors: [errors.md](errors.md)."""
_EMPTY: dict[str, list[str]] = {"attr_defs": [], "vertex_defs": [], "edge_defs": [], "edge_relation_defs": []}
_REFERENCE = "#/components/schemas/"


def openapi() -> dict[str, Any]:
    """Return the OpenAPI document of a service."""
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_openapi(Path(folder)))


async def _openapi(folder: Path) -> dict[str, Any]:
    deployment, bus = Deployment("log", 1, 1, 1, Schema.parse(json.dumps(_EMPTY))), MemoryBus()
    coordinator = Coordinator(deployment, bus, StateFile(folder / "state.json", deployment), bus_url="memory://")
    telemetry = Telemetry.of(bus, clock=time.monotonic, wall_clock=time.time)
    worker = ServingWorker(
        deployment, PartitionIndex(0), bus, clock=time.monotonic, slice_s=1, on_round=lambda *_: None, dead_letters=lambda _: None
    )
    membership = Membership(deployment, clock=time.monotonic)
    app = make_app(
        coordinator,
        [worker],
        Settings(),
        samples=samples_endpoint(deployment, {0: worker}, coordinator, NoPeers(), Settings()),
        telemetry=telemetry,
        membership=membership,
        hear=lambda _: News(),
    )
    async with httpx.AsyncClient(transport=httpx.ASGITransport(app), base_url="http://service") as client:
        document: dict[str, Any] = (await client.get("/openapi.json")).json()
    return document


def paths_page() -> str:
    """Return the page."""
    document = openapi()
    sections = [_operation(path, method, o) for path, item in document["paths"].items() for method, o in item.items()]
    schemas = [_schema(name, schema) for name, schema in document["components"]["schemas"].items()]
    return page("HTTP", _ABOUT, [*sections, "## Schemas", *schemas])


def _operation(path: str, method: str, operation: dict[str, Any]) -> str:
    parts = [f"## {method.upper()} {path}", f"{operation['summary']}.", operation.get("description", "")]
    if found := operation.get("parameters"):
        head = ("parameter", "in", "required", "type", "meaning")
        rows = (
            (code(p["name"]), p["in"], "yes" if p.get("required") else "", _type(p["schema"]), p.get("description", ""))
            for p in found
        )
        parts.append(table(head, rows))
    if body := operation.get("requestBody"):
        for media_type, content in body["content"].items():
            parts += [f"Body, {code(media_type)}:", _properties(content["schema"])]
    answers = [
        (
            status,
            ", ".join(f"{code(m)} {_type(c.get('schema', {}))}" for m, c in answer.get("content", {}).items()),
            answer["description"],
        )
        for status, answer in sorted(operation["responses"].items())
    ]
    return "\n\n".join(part for part in [*parts, table(("status", "content", "meaning"), answers)] if part)


def _schema(name: str, schema: dict[str, Any]) -> str:
    about = " ".join(schema.get("description", "").split())
    return "\n\n".join(part for part in (f"### {name}", about, _properties(schema)) if part)


def _properties(schema: dict[str, Any]) -> str:
    if "properties" not in schema:
        return f"{_type(schema)}: {schema['title']}" if "title" in schema else _type(schema)
    return table(("member", "required", "type", "meaning"), _members(schema, ""))


def _members(schema: dict[str, Any], prefix: str) -> Iterator[tuple[str, ...]]:
    """Members of an object, and of the objects in it."""
    required = schema.get("required", [])
    for name, member in schema["properties"].items():
        about = next((kind["description"] for kind in (member, *member.get("anyOf", ())) if "description" in kind), "")
        yield code(prefix + name), "yes" if name in required else "", _type(member), " ".join(about.split())
        inner, suffix = member, "."
        while "items" in inner or isinstance(inner.get("additionalProperties"), dict):
            inner, suffix = (inner["items"], f"[]{suffix}") if "items" in inner else (inner["additionalProperties"], f".*{suffix}")
        if "properties" in inner:
            yield from _members(inner, f"{prefix}{name}{suffix}")


def _type(schema: dict[str, Any]) -> str:
    if "$ref" in schema:
        name = schema["$ref"].removeprefix(_REFERENCE)
        return f"[{name}](#{name.lower()})"
    if kinds := schema.get("anyOf"):
        return " or ".join(map(_type, kinds))
    if values := schema.get("enum") or ([schema["const"]] if "const" in schema else []):
        return ", ".join(map(code, values))
    kind = schema.get("type", "any")
    if kind == "array":
        return f"array of {_type(schema['items'])}"
    if kind == "object" and isinstance(schema.get("additionalProperties"), dict):
        return f"object of {_type(schema['additionalProperties'])}"
    if kind == "integer" and schema.get("format") == "int64":
        return "int64"
    return str(schema.get("format", kind) if kind == "string" else kind)

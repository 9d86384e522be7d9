"""What `/openapi.json` says that the framework does not know: `/samples`, which is served without it, and what errors look like."""

from typing import Any

_INT64 = {"type": "integer", "format": "int64"}
_QUERY = {"type": "string", "description": "name or id of the query; may be left out while exactly one is installed"}
_COLUMNS = {"type": "object", "additionalProperties": {"type": "array", "items": {}}, "description": "one array per attribute"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _nullable(kind: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [kind, {"type": "null"}]}


_BOOLEAN, _TEXT = {"type": "boolean"}, {"type": "string"}
SCHEMAS: dict[str, Any] = {
    "Sample": _object(
        query=_object(id=_INT64, name=_TEXT, ready=_BOOLEAN),
        seed=_object(type=_TEXT, id=_INT64, known=_nullable(_BOOLEAN)),
        generation=_INT64,
        positions=_array(_INT64),
        watermark=_nullable(_INT64),
        pending=_INT64,
        history={"enum": ["full"]},
        vertices={
            "type": "object",
            "additionalProperties": _object(ids=_array(_INT64), known=_array(_nullable(_BOOLEAN)), attrs=_COLUMNS),
        },
        edges=_array(
            _object(
                operator=_INT64,
                alias=_TEXT,
                hop=_INT64,
                type=_TEXT,
                src_type=_TEXT,
                dst_type=_TEXT,
                src=_array(_INT64),
                dst=_array(_INT64),
                timestamp=_array(_INT64),
                attrs=_COLUMNS,
            )
        ),
    ),
    "Problem": _object(type=_TEXT, title=_TEXT, status=_INT64, detail=_TEXT, problems=_array(_TEXT)),
}
"""What `/samples` answers, and what every error is."""


MEANING = {
    400: "Refused; says why",
    404: "No such query, or none is installed",
    409: "It contradicts what stands",
    413: "More seeds or a larger body than the settings allow",
    422: "Not understood; says why",
    503: "Not ready; says why; ask again",
}
"""What each status of an error says, wherever it is declared."""


def problems(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that answers these statuses with problem documents."""
    return _errors({"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}}, statuses)


def texts(*statuses: int) -> dict[int | str, dict[str, Any]]:
    """Return the `responses` of a route that answers these statuses in plain text."""
    return _errors({"text/plain": {"schema": {"type": "string"}}}, statuses)


def _errors(content: dict[str, Any], statuses: tuple[int, ...]) -> dict[int | str, dict[str, Any]]:
    return {s: {"description": MEANING[s], "content": content} for s in statuses}


def _answers(schema: dict[str, Any], *statuses: int) -> dict[str, Any]:
    found: dict[str, Any] = {"200": {"description": "The answer", "content": {"application/json": {"schema": schema}}}}
    return found | {str(status): answer for status, answer in problems(*statuses).items()}


_SAMPLE = {"$ref": "#/components/schemas/Sample"}
SAMPLES: dict[str, Any] = {
    "get": {
        "tags": ["data"],
        "summary": "The ego-graph of one seed",
        "description": "An unknown seed has an empty one.",
        "operationId": "sample",
        "parameters": [
            {"name": "vid", "in": "query", "required": True, "schema": _INT64},
            {"name": "query", "in": "query", "schema": _QUERY},
        ],
        "responses": _answers(_SAMPLE, 404, 422, 503),
    },
    "post": {
        "tags": ["data"],
        "summary": "The ego-graphs of many seeds, in their order",
        "operationId": "samples",
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {
                    "schema": {
                        "type": "object",
                        "required": ["vids"],
                        "additionalProperties": False,
                        "properties": {
                            "query": {"anyOf": [_QUERY, {"type": "integer"}, {"type": "null"}]},
                            "vids": _array(_INT64),
                        },
                    }
                }
            },
        },
        "responses": _answers(_object(samples=_array(_SAMPLE)), 404, 413, 422, 503),
    },
}
"""The path item of `/samples`."""

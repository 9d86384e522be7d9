"""What `/openapi.json` says that the framework does not know: `/samples` and `/infer`, which are served without it, and errors."""

from typing import Any

from dgs.api.request import TIMEOUT_MS_MOST
from dgs.codec.messages import MEDIA_TYPE as PROTOBUF

_INT64 = {"type": "integer", "format": "int64", "minimum": -(1 << 63), "maximum": (1 << 63) - 1}
_QUERY = {
    "type": "string",
    "minLength": 1,
    "description": "name or id of the query; may be left out while exactly one is installed",
}
_COLUMNS = {"type": "object", "additionalProperties": {"type": "array", "items": {}}, "description": "one array per attribute"}


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "required": list(properties), "properties": properties}


def _array(items: dict[str, Any]) -> dict[str, Any]:
    return {"type": "array", "items": items}


def _nullable(kind: dict[str, Any]) -> dict[str, Any]:
    return {"anyOf": [kind, {"type": "null"}]}


_BOOLEAN, _TEXT = {"type": "boolean"}, {"type": "string"}
_FANOUT = {"type": "integer", "minimum": 0, "maximum": 65535}
_TOKENS = {
    "type": "string",
    "pattern": r"^[0-9]{1,9}:[0-9]{1,9}:[0-9]{1,18}(,[0-9]{1,9}:[0-9]{1,9}:[0-9]{1,18})*$",
    "description": "wait until these are reflected: GENERATION:PARTITION:POSITION, as loaders print them, with commas between",
}
_TIMEOUT = {
    "type": "integer",
    "minimum": 0,
    "maximum": TIMEOUT_MS_MOST,
    "description": "how long that may take; 10000 unless given",
}
_SCORES = {"type": "boolean", "description": "whether edges have a column of what they were chosen by; false unless given"}
_FANOUTS = _array(_FANOUT) | {"description": "for each edge sampler, in plan order, how many neighbours at most"}
_EDGES = _object(
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
_EDGES["properties"]["score"] = _array({"type": "number"}) | {"description": "only where the request says scores"}
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
        edges=_array(_EDGES),
    ),
    "Problem": _object(type=_TEXT, title=_TEXT, status=_INT64, detail=_TEXT, problems=_array(_TEXT)),
}
"""What `/samples` answers, and what every error is."""
SCHEMAS["Sample"]["properties"]["caught_up"] = {"enum": [False], "description": "only while its serving partition catches up"}


MEANING = {
    400: "Refused; says why",
    404: "No such query, none is installed, or no such path",
    409: "It contradicts what stands",
    413: "More seeds or a larger body than the settings allow",
    422: "Not understood; says why",
    501: "Not built yet",
    503: "Not ready; says why; ask again",
    504: "The positions asked for have not arrived in time",
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


def _answers(media_types: dict[str, Any], *statuses: int) -> dict[str, Any]:
    found: dict[str, Any] = {"200": {"description": "The answer", "content": media_types}}
    return found | {str(status): answer for status, answer in problems(*statuses).items()}


def _parameter(name: str, schema: dict[str, Any], **more: Any) -> dict[str, Any]:
    """Return a parameter of a URL; what the schema says of it stands beside it, too, where `/docs` looks."""
    about = {key: value for key, value in schema.items() if key == "description"}
    return {"name": name, "in": "query", "schema": schema, **about, **more}


_NATURAL = {"type": "string", "pattern": "^[0-9]{1,19}$"}
_BARRIER = {"type": "string", "minLength": 1, "description": "name of the barrier"}
ADMIN: dict[str, dict[str, Any]] = {
    "init": {
        "requestBody": {
            "required": True,
            "content": {
                "application/json": {"schema": {"type": "object", "title": "Install-query document", "required": ["query_plan"]}}
            },
        }
    },
    "barrier/set": {
        "requestBody": {
            "required": True,
            "content": {"application/x-www-form-urlencoded": {"schema": _object(name=_BARRIER, count=_NATURAL, id=_NATURAL)}},
        }
    },
    "barrier/status": {"parameters": [_parameter("name", _BARRIER, required=True)]},
}
"""What routes below `/admin/` take, by their paths there: they read it themselves."""


_SAMPLE = {"$ref": "#/components/schemas/Sample"}
_MESSAGE = {PROTOBUF: {"schema": {"type": "string", "format": "binary", "description": "the message dgs.v1.Samples"}}}
_SEED = _parameter("vid", _INT64 | {"description": "the seed"}, required=True)
_REFUSALS = (404, 409, 422, 503, 504)

SAMPLES: dict[str, Any] = {
    "get": {
        "tags": ["data"],
        "summary": "The ego-graph of one seed",
        "description": "A seed that nobody has loaded has an empty one.",
        "operationId": "sample",
        "parameters": [
            _SEED,
            _parameter("query", _QUERY),
            _parameter("fanouts", _FANOUTS | {"minItems": 1}, style="form", explode=False),
            _parameter("min_position", _TOKENS),
            _parameter("timeout_ms", _TIMEOUT),
            _parameter("scores", _SCORES),
        ],
        "responses": _answers({"application/json": {"schema": _SAMPLE}} | _MESSAGE, *_REFUSALS),
    },
    "post": {
        "tags": ["data"],
        "summary": "The ego-graphs of many seeds, in their order",
        "description": "Each is of one instant; two of them may be of two.",
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
                            "vids": _array(_INT64) | {"description": "the seeds, at most `seeds_max`"},
                            "query": {"anyOf": [_QUERY, {"type": "integer"}, {"type": "null"}]},
                            "fanouts": _nullable(_FANOUTS),
                            "min_position": {"anyOf": [_TOKENS, _array(_TOKENS), {"type": "null"}]},
                            "timeout_ms": _nullable(_TIMEOUT),
                            "scores": _nullable(_SCORES),
                        },
                    }
                }
            },
        },
        "responses": _answers({"application/json": {"schema": _object(samples=_array(_SAMPLE))}} | _MESSAGE, 413, *_REFUSALS),
    },
}
"""The path item of `/samples`."""

INFER: dict[str, Any] = {
    "get": {
        "tags": ["data"],
        "summary": "The ego-graph of one seed, as the reference is asked for it",
        "description": "The message that `/samples` answers to `Accept: application/x-protobuf`, whatever is accepted.",
        "operationId": "infer",
        "parameters": [_parameter("qid", _INT64 | {"description": "id of the query"}, required=True), _SEED],
        "responses": _answers(_MESSAGE, 404, 422, 503),
    }
}
"""The path item of `/infer`."""

DATA_PATHS = {"/samples": SAMPLES, "/infer": INFER}
"""What is served past the framework, which therefore does not describe it."""

"""What `dgs inspect` found, as lines for people."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

LIST_MOST = 5
"""Elements of a list that are shown."""


def logs_text(found: dict[str, Any]) -> str:
    """Return a line for each log."""
    lines = [f"{'log':<20} {'begin':>14} {'end':>14} {'segments':>8} {'bytes':>14}"]
    for log in found["logs"]:
        lines.append(
            f"{log['topic'] + '/' + str(log['partition']):<20} {log['begin']:>14} {log['end']:>14}"
            f" {_of_files(log['segments']):>8} {_of_files(log['bytes']):>14}"
            + ("" if log["exists"] else "  nothing appended yet")
            + (f"  {log['damage'] or 'whole'}" if "damage" in log else "")
        )
    return "\n".join(lines)


def dead_letters_text(found: dict[str, Any]) -> str:
    """Return two lines for each dead letter."""
    lines = []
    for d in found["dead_letters"]:
        when = d["when"] or "time not kept"
        lines.append(f"{d['topic']}/{d['partition']} at {d['position']}  {when}  {d['size']} bytes: {d['first_bytes']}")
        lines.append(f"    {d['reason']}")
    return "\n".join(lines) or "no dead letters"


def partition_text(found: dict[str, Any]) -> str:
    """Return the summary of a partition."""
    return "\n".join(_sampler(found) if found["kind"] == "sampler" else _serving(found))


def vertex_text(found: dict[str, Any]) -> str:
    """Return everything about a vertex."""
    return "\n".join(_vertex(found))


def _sampler(found: dict[str, Any]) -> Iterator[str]:
    yield f"sampler partition {found['partition']}: committed at position {found['position']}{_behind(found)}"
    yield f"  orders up to {found['control']}, watermark {found['watermark']}, {found['store_bytes']} bytes in the store"
    yield f"  queries: {', '.join(q['name'] for q in found['queries']) or 'none'}"
    for c in found["channels"]:
        yield f"  serving partition {c['serving_partition']}: received up to {c['received']}, sent up to {c['sent']}"
    for o in found["operators"]:
        slots = f", {o['slots']} slots filled" if "slots" in o else ""
        yield f"  {_operator(o)}: {o['rows']} rows{slots}, {o['subscriptions']} subscriptions of {o['subscribed_rows']} rows"
    for name, count in found["records"].items():
        yield f"  records of {name}: {count}"
    for h in found["history"]:
        yield f"  history of {h['edges']} from {h['from']}: {h['count']} edges"


def _serving(found: dict[str, Any]) -> Iterator[str]:
    yield f"serving partition {found['partition']}: newest snapshot at position {found['position']}{_behind(found)}"
    yield f"  orders up to {found['control']}, {found['applied']} items applied, {found['state_bytes']} bytes of state"
    yield f"  queries: {', '.join(q['name'] for q in found['queries']) or 'none'}"
    for c in found["channels"]:
        yield (
            f"  record partition {c['record_partition']}: received up to {c['received']}, sent up to {c['sent']},"
            f" reflects position {c['reflected']}, watermark {c['watermark']}"
        )
    for o in found["operators"]:
        slots = f", {o['slots']} slots filled" if "slots" in o else ""
        asked = f"{o['needed_rows']} needed, {o['subscribed_rows']} subscribed, {o['pending_rows']} pending"
        yield f"  {_operator(o)}: {o['rows']} rows{slots}, {asked}"
    for name, count in found["vertices"].items():
        yield f"  vertices of {name}: {count}"
    for s in found["snapshots"]:
        damage = f"  {s['damage']}" if "damage" in s else ""
        yield f"  snapshot at {s['position']}: written {s['written_at']}, {s['bytes']} bytes{damage}"
    for path in found["damaged"]:
        yield f"  set aside as damaged: {path}"


def _behind(found: dict[str, Any]) -> str:
    log = found["log"]
    return f", {log['end'] - found['position']} {log['counts']} before the end of its log" if log else ""


def _vertex(found: dict[str, Any]) -> Iterator[str]:
    yield (
        f"{found['type']} {found['id']}: record partition {found['record_partition']} (committed at {found['position']}),"
        f" serving partition {found['serving_partition']}"
    )
    record = found["record"]
    yield "record: none" if record is None else f"record: timestamp {record['timestamp']}  {_attrs(record['attrs'])}"
    for row in found["rows"]:
        yield f"{_operator(row)}, subscribers {_listed(row['subscribers'])}"
        for slot in row.get("slots", []):
            yield f"  {slot['dst_type']} {slot['dst']} at {slot['timestamp']}, score {slot['score']}  {_attrs(slot['attrs'])}"
    history = found["history"]
    yield f"history: {history['count']} edges" + ("" if history["count"] == len(history["edges"]) else ", the newest:")
    for edge in history["edges"]:
        yield f"  {edge['edge']} to {edge['dst_type']} {edge['dst']} at {edge['timestamp']}  {_attrs(edge['attrs'])}"


def _operator(o: dict[str, Any]) -> str:
    queries = f" (query {', '.join(o['queries'])})"
    if "samples" in o:
        return f"operator {o['operator']}: {o['fanout']} {o['samples']} of {o['of']} by {o['strategy']}{queries}"
    return f"operator {o['operator']}: records of {o['of']}{queries}"


def _attrs(attrs: dict[str, Any]) -> str:
    return "  ".join(f"{name}={_value(value)}" for name, value in attrs.items())


def _value(value: Any) -> str:
    if isinstance(value, list) and len(value) > LIST_MOST:
        return f"[{', '.join(map(str, value[:LIST_MOST]))}, … {len(value)} in all]"
    return json.dumps(value, ensure_ascii=False)


def _of_files(figure: int | None) -> str:
    """Return what is told of the files of a log, which one on Kafka does not have."""
    return "-" if figure is None else str(figure)


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, values)) or "none"

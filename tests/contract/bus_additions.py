"""What may change in the AsyncAPI document of the bus: additions only.

Topics, messages and who sends or takes them may be added. A topic may keep its messages longer and take larger ones,
never the opposite. For headers and bodies the rules of one message's schema hold.
"""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from .additions import breaking_changes

Json = dict[str, Any]

_FOR_EVER = -1
_SIZES = ("max.message.bytes", "min.compaction.lag.ms")


def breaking_changes_of_bus(old: Json, new: Json) -> list[str]:
    """Name every difference between two documents of the bus that is not an addition; an empty list allows it."""
    return [*_channels(old, new), *_roles(old, new), *_messages(old, new)]


def _channels(old: Json, new: Json) -> Iterator[str]:
    for name, before in old["channels"].items():
        after = new["channels"].get(name)
        if after is None:
            yield f"{name}: was removed"
            continue
        if before["address"] != after["address"]:
            yield f"{name}: address changed"
        yield from (f"{name}: {each} was removed" for each in before["messages"] if each not in after["messages"])
        yield from _keeping(name, before["bindings"]["kafka"], after["bindings"]["kafka"])


def _keeping(name: str, old: Json, new: Json) -> Iterator[str]:
    before, after = old["topicConfiguration"], new["topicConfiguration"]
    if old["partitions"] != new["partitions"]:
        yield f"{name}: partitions changed"
    if before["cleanup.policy"] != after["cleanup.policy"]:
        yield f"{name}: cleanup.policy changed"
    if _kept(after["retention.ms"]) < _kept(before["retention.ms"]):
        yield f"{name}: retention.ms became shorter"
    yield from (f"{name}: {size} became smaller" for size in _SIZES if after.get(size, 0) < before.get(size, 0))


def _kept(milliseconds: int) -> float:
    return float("inf") if milliseconds == _FOR_EVER else milliseconds


def _roles(old: Json, new: Json) -> Iterator[str]:
    now = set(_roles_in(new))
    yield from (f"{' '.join(role)}: was removed" for role in dict.fromkeys(_roles_in(old)) if role not in now)


def _roles_in(document: Json) -> Iterable[tuple[str, ...]]:
    """Which service sends, takes or answers what, where; in which consumer group is the service's own affair."""
    for operation in document["operations"].values():
        (service,) = (tag["name"] for tag in operation["tags"])
        yield from ((service, operation["action"], _last(each)) for each in operation["messages"])
        yield from (
            (service, "answer", _last(each), "with", _last(reply))
            for each in operation["messages"]
            for reply in operation.get("reply", {}).get("messages", ())
        )


def _last(reference: Json) -> str:
    return str(reference["$ref"]).rpartition("/")[2]


def _messages(old: Json, new: Json) -> Iterator[str]:
    definitions = _definitions(old), _definitions(new)
    for name, before in old["components"]["messages"].items():
        after = new["components"]["messages"].get(name)
        if after is None:
            yield f"{name}: was removed"
            continue
        yield from (
            f"{name}: {part} changed"
            for part in ("x-key", "contentType", "correlationId", "tags")
            if before.get(part) != after.get(part)
        )
        if _key(before) != _key(after):
            yield f"{name}: the key changed"
        for part in ("headers", "payload"):
            found = breaking_changes(_schema(before, part, definitions[0]), _schema(after, part, definitions[1]))
            yield from (f"{name} {part}: {change}" for change in found)


def _key(message: Json) -> Json:
    key = message.get("bindings", {}).get("kafka", {}).get("key", {})
    return {word: value for word, value in key.items() if word != "description"}


def _definitions(document: Json) -> Json:
    """The document's schemas, as schemas that stand alone refer to them."""
    text = json.dumps(document["components"]["schemas"])
    found: Json = json.loads(text.replace("#/components/schemas/", "#/$defs/"))
    return found


def _schema(message: Json, part: str, definitions: Json) -> Json:
    """A part of a message as a schema that stands alone; headers are compared as strictly as events are."""
    raw = message.get(part, {})
    own = definitions[_last(raw)] if "$ref" in raw else raw
    for base in own.get("allOf", ()):
        common = definitions[_last(base)]
        own = {
            **common,
            "properties": {**common["properties"], **own["properties"]},
            "required": sorted({*common["required"], *own["required"]}),
        }
    is_command = part == "payload" and {"name": "command"} in message["tags"]
    return {**own, "$defs": definitions, "x-kind": "command" if is_command else "event"}

"""The page of the bus, `docs/bus.md`, made from the AsyncAPI document alone."""

import json
from collections.abc import Iterable, Iterator
from typing import Any

from .documents import REPOSITORY

Json = dict[str, Any]
Rows = list[tuple[str, ...]]

PAGE = REPOSITORY / "docs" / "bus.md"

_DAY = 24 * 60 * 60 * 1000
_FORMATS = {"uuid": "UUID", "date-time": "time (RFC 3339, UTC)", "date": "date"}
_NOTE = """\
<!-- Made by `python -m tests.docs.bus`; what stands here by hand is lost. -->

This page shows every topic and every message. Programs read the same in [asyncapi.json](bus/asyncapi.json) \
(AsyncAPI 3) and in the JSON Schemas and samples in `shared/contracts/schemas` and `shared/contracts/samples`. How to \
send a command and find its reply, in Python and in other languages, is told in [For upstream services](upstream.md).
"""


def page(document: Json) -> str:
    """The whole page."""
    return "\n".join(_Page(document).lines()).rstrip() + "\n"


class _Page:
    def __init__(self, document: Json) -> None:
        self._document = document
        self._messages = document["components"]["messages"]
        self._schemas = document["components"]["schemas"]
        self._operations = document["operations"]

    def lines(self) -> Iterator[str]:
        yield from ("# The bus", "", _NOTE, self._document["info"]["description"], "", "## Topics", "")
        yield from _table(("topic", "kept", "messages"), self._overview())
        yield from ("", "## Headers of every message", "")
        yield from _table(("header", "", "form", "meaning"), self._fields(self._schemas["Envelope"]))
        for name, channel in self._document["channels"].items():
            yield from self._channel(name, channel)

    def _overview(self) -> Rows:
        return [
            (_link(channel["title"]), _kept(channel), ", ".join(map(_link, channel["messages"])) or "none yet")
            for channel in self._document["channels"].values()
        ]

    def _channel(self, name: str, channel: Json) -> Iterator[str]:
        kafka = channel["bindings"]["kafka"]
        yield from ("", f"## {channel['title']}", "", channel["description"], "")
        yield f"- kept: {_kept(channel)}"
        yield f"- partitions: {kafka['partitions']}, unless set otherwise"
        yield f"- largest message: {kafka['topicConfiguration']['max.message.bytes'] // 1024} KiB"
        yield f"- written by: {', '.join(self._of('send', name)) or 'upstream services'}"
        yield f"- read by: {', '.join(self._of('receive', name)) or 'upstream services'}"
        for group in channel.get("parameters", {}).values():
            yield f"- groups: {', '.join(f'`{each}`' for each in group['enum'])}"
        for message in channel["messages"]:
            yield from self._message(self._messages[message])

    def _of(self, action: str, channel: str) -> list[str]:
        found = (each for each in self._operations.values() if each["channel"]["$ref"] == f"#/channels/{channel}")
        return sorted({tag["name"] for each in found if each["action"] == action for tag in each["tags"]})

    def _message(self, message: Json) -> Iterator[str]:
        yield from ("", f"### {message['name']}", "", message.get("description", f"{message['summary']}."), "")
        if "payload" not in message:
            yield from _table(("header", "", "form", "meaning"), self._fields(message["headers"]))
            return
        (kind,) = (tag["name"] for tag in message["tags"])
        yield from (f"{kind.capitalize()}, key: `{message['x-key']}`.", "")
        yield from _table(("field", "", "form", "meaning"), self._fields(self._resolved(message["payload"])))
        for example in message["examples"]:
            shown = {"headers": example["headers"], "body": example["payload"]}
            yield from ("", "```json", json.dumps(shown, indent=2, ensure_ascii=False), "```")

    def _fields(self, schema: Json, at: str = "") -> Rows:
        rows: Rows = []
        for name, field in schema.get("properties", {}).items():
            must = "required" if name in schema.get("required", ()) else "optional"
            if "default" in field and field["default"] not in (None, []):
                must += f", default `{field['default']}`"
            rows.append((f"`{at}{name}`", must, self._form(field), field.get("description", "")))
            for inner, mark in self._inside(field):
                rows += self._fields(inner, f"{at}{name}{mark}.")
        return rows

    def _inside(self, field: Json) -> Iterator[tuple[Json, str]]:
        """The objects that a field holds, with what stands between its name and theirs."""
        for kind in self._kinds(field):
            if "properties" in kind:
                yield kind, ""
            if "items" in kind:
                yield from ((inner, f"[]{mark}") for inner, mark in self._inside(kind["items"]))

    def _kinds(self, field: Json) -> list[Json]:
        field = self._resolved(field)
        return [kind for each in field["anyOf"] for kind in self._kinds(each)] if "anyOf" in field else [field]

    def _form(self, field: Json) -> str:
        return " or ".join(dict.fromkeys(map(self._one_form, self._kinds(field))))

    def _one_form(self, kind: Json) -> str:
        if "const" in kind:
            return f"`{kind['const']}`"
        if "enum" in kind:
            return ", ".join(f"`{value}`" for value in kind["enum"])
        if kind.get("type") == "array":
            return f"list of {self._form(kind['items'])}{_bounds(kind, 'Items')}"
        if "format" in kind:
            return _FORMATS.get(str(kind["format"]), str(kind["format"]))
        if "pattern" in kind:
            return f"string like `{kind['pattern']}`"
        return f"{kind.get('type', 'any value')}{_bounds(kind, 'Length')}{_range(kind)}"

    def _resolved(self, schema: Json) -> Json:
        while "$ref" in schema:
            schema = self._schemas[schema["$ref"].rpartition("/")[2]]
        return schema


def _bounds(kind: Json, what: str) -> str:
    least, most = kind.get(f"min{what}"), kind.get(f"max{what}")
    told = [f"at least {least}"] if least else []
    told += [f"at most {most}"] if most is not None else []
    return f", {' and '.join(told)}{' characters' if what == 'Length' else ''}" if told else ""


def _range(kind: Json) -> str:
    if "minimum" not in kind:
        return ""
    return f", {kind['minimum']} to {kind['maximum']}" if "maximum" in kind else f" from {kind['minimum']}"


def _kept(channel: Json) -> str:
    config = channel["bindings"]["kafka"]["topicConfiguration"]
    if config["cleanup.policy"] == ["compact"]:
        lag = config.get("min.compaction.lag.ms", 0) // _DAY
        return f"compacted: the newest of every key for ever, and everything younger than {lag} days"
    return f"{config['retention.ms'] // _DAY} days"


def _link(name: str) -> str:
    return f"[{name}](#{''.join(letter for letter in name.lower() if letter.isalnum() or letter in '_- ')})"


def _table(head: Iterable[str], rows: Rows) -> Iterator[str]:
    titles = tuple(head)
    for row in (titles, ("---",) * len(titles), *rows):
        yield "| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |"

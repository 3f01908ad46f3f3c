"""The bus as an AsyncAPI 3 document, made from the catalogue of messages, the table of topics and the services.

https://www.asyncapi.com/docs/reference/specification/v3.0.0
"""

import json
import tomllib
from collections.abc import Iterable, Sequence
from functools import cache
from typing import Any

from shared.contracts import MESSAGES, TOPICS, Command, Message, StateEvent, Topic, parked_topic, redrive_topic
from shared.contracts.envelope import _REQUIRED, _TEXTS, CONTENT_TYPE, SPEC_VERSION
from shared.contracts.export import SAMPLES, schema_of
from shared.contracts.replies import Reply
from shared.kit.service import Service
from shared.kit.subscriber import Subscriber

from .documents import REPOSITORY
from .tables import services

Json = dict[str, Any]

DOCUMENT = REPOSITORY / "docs" / "bus" / "asyncapi.json"
_WHEEL = REPOSITORY / "deploy" / "contracts" / "pyproject.toml"
_KAFKA_BINDING = "0.5.0"
_SCHEMAS = "#/components/schemas/"

_INTRODUCTION = """\
Commands to the services, the events they tell, and the replies to commands, over Apache Kafka. An installation may \
put a prefix before every topic and consumer group. Who may write where is set by Kafka ACLs.

A message is a CloudEvent 1.0 in Kafka's binary binding with a JSON body. One account's messages have the account's id \
as key and stay in order; on which partition a sender puts a key is its own affair. Messages are delivered at least \
once: a message is known by its client, its source and its id.

Every command that can be read is answered on `commands.replies.v1`. Contracts change by addition only: readers ignore \
fields and types of events that they do not know; a command with a field that is not known is refused."""

_HEADERS = {
    "ce_id": "Known only once within the client and the source; a repetition bears the same",
    "ce_type": "The message's name",
    "ce_source": "The program that sent it, such as /my-service",
    "ce_subject": "What it is about, as a rule its key",
    "ce_correlationid": "The request that it all began with",
    "ce_causationid": "The id of the message that caused this one",
}
_PARKED_HEADERS = {
    "parked-id": "Group, topic, partition and offset of the message: the same in all its parts",
    "parked-group": "The consumer group that could not take it",
    "parked-topic": "Where it stood, without an installation's prefix",
    "parked-partition": "Where it stood",
    "parked-offset": "Where it stood",
    "parked-reason": "Why, as metrics count it",
    "parked-detail": "Why, for people",
    "parked-attempts": "How often it was tried",
    "parked-at": "When it was parked, in RFC 3339",
}


def document() -> Json:
    """The whole document."""
    running = services()
    return {
        "asyncapi": "3.0.0",
        "id": "urn:portfolio-bus:v1",
        "info": {"title": "portfolio-bus", "version": version(), "description": _INTRODUCTION},
        "defaultContentType": CONTENT_TYPE,
        "channels": {topic.name: _channel(topic) for topic in TOPICS} | _channels_of_groups(running),
        "operations": dict(operation for service in running for operation in _operations(service)),
        "components": {
            "messages": {name: _message(MESSAGES[name]) for name in sorted(MESSAGES)} | _messages_of_groups(),
            "schemas": _schemas(),
        },
    }


def document_text() -> str:
    """The document as its file holds it."""
    return json.dumps(document(), indent=2, ensure_ascii=False) + "\n"


@cache
def version() -> str:
    """The version of the contracts, which is the wheel's."""
    found: str = tomllib.loads(_WHEEL.read_text())["project"]["version"]
    return found


def _channel(topic: Topic) -> Json:
    names = [message.__name__ for message in messages_on(topic)]
    return {
        "address": topic.name,
        "title": topic.name,
        "description": f"Holds {topic.holds}. Key: {topic.key}.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in names},
        "bindings": {"kafka": {"topic": topic.name, "partitions": topic.partitions, **_configuration(topic)}},
    }


def messages_on(topic: Topic) -> list[type[Message]]:
    """What may travel on a topic, in the catalogue's order."""
    return [message for message in MESSAGES.values() if message.topic is topic]


def _configuration(topic: Topic) -> Json:
    config = topic.config()
    policy = config.pop("cleanup.policy").split(",")
    numbers = {name: int(value) for name, value in config.items()}
    return {"topicConfiguration": {"cleanup.policy": policy, **numbers}, "bindingVersion": _KAFKA_BINDING}


def _channels_of_groups(running: Sequence[Service]) -> dict[str, Json]:
    groups = sorted(subscriber.group for service in running for subscriber in service.subscribers)
    parameters = {"group": {"description": "The consumer group", "enum": groups}}
    return {
        name: {
            "address": topic.name,
            "title": topic.name,
            "description": f"Holds {topic.holds}. Key: {topic.key}. {more}",
            "parameters": parameters,
            "messages": {message: {"$ref": f"#/components/messages/{message}"}},
            "bindings": {"kafka": {"partitions": topic.partitions, **_configuration(topic)}},
        }
        for name, topic, message, more in (
            ("parked", parked_topic("{group}"), "ParkedMessage", "For people, and for what sends them back."),
            ("redrive", redrive_topic("{group}"), "RedrivenMessage", "Written by what sends them back."),
        )
    }


def _operations(service: Service) -> Iterable[tuple[str, Json]]:
    for subscriber in service.subscribers:
        for topic in subscriber.topics:
            yield f"{subscriber.group}.receives.{topic.name}", _receiving(service, subscriber, topic)
        group = {"tags": [{"name": service.name}], "bindings": _group(subscriber)}
        yield f"{subscriber.group}.sends.parked", _operation("send", "parked", ["ParkedMessage"]) | group
        yield f"{subscriber.group}.receives.redrive", _operation("receive", "redrive", ["RedrivenMessage"]) | group
    for topic in service.publishes:
        names = [message.__name__ for message in messages_on(topic)]
        sending = _operation("send", topic.name, names) | {"tags": [{"name": service.name}]}
        yield f"{service.name}.sends.{topic.name}", sending


def _receiving(service: Service, subscriber: Subscriber, topic: Topic) -> Json:
    taken = (*subscriber.handlers, *subscriber.command_handlers)
    wanted = [message for message in messages_on(topic) if issubclass(message, taken)]
    receiving = _operation("receive", topic.name, [message.__name__ for message in wanted])
    receiving |= {"tags": [{"name": service.name}], "bindings": _group(subscriber)}
    if any(issubclass(message, Command) for message in wanted):
        replies = [message for message in MESSAGES.values() if issubclass(message, Reply)]
        answer = _operation("send", replies[0].topic.name, [message.__name__ for message in replies])
        receiving["reply"] = {"channel": answer["channel"], "messages": answer["messages"]}
    return receiving


def _operation(action: str, channel: str, names: Iterable[str]) -> Json:
    return {
        "action": action,
        "channel": {"$ref": f"#/channels/{channel}"},
        "messages": [{"$ref": f"#/channels/{channel}/messages/{name}"} for name in names],
    }


def _group(subscriber: Subscriber) -> Json:
    return {"kafka": {"groupId": {"type": "string", "const": subscriber.group}, "bindingVersion": _KAFKA_BINDING}}


def _message(message: type[Message]) -> Json:
    name, text = message.__name__, " ".join((message.__doc__ or "").split())
    sample = json.loads((SAMPLES / f"{name}.json").read_text(encoding="utf-8"))
    return {
        "name": name,
        "title": name,
        "summary": text.partition(". ")[0].removesuffix("."),
        "description": text,
        "tags": [{"name": kind_of(message)}],
        "contentType": CONTENT_TYPE,
        "correlationId": {"location": _correlation(message)},
        "headers": _typed_headers(name),
        "payload": {"$ref": f"{_SCHEMAS}{name}"},
        "bindings": {"kafka": {"key": _key_schema(message), "bindingVersion": _KAFKA_BINDING}},
        "examples": [{"name": name, "headers": sample["headers"], "payload": sample["body"]}],
        "x-key": message.key_field,
    }


def kind_of(message: type[Message]) -> str:
    """Command, reply, state or event."""
    kinds = ((Command, "command"), (Reply, "reply"), (StateEvent, "state"))
    return next((kind for parent, kind in kinds if issubclass(message, parent)), "event")


def _correlation(message: type[Message]) -> str:
    if issubclass(message, Command):
        return "$message.header#/ce_id"
    return "$message.payload#/command_id" if issubclass(message, Reply) else "$message.header#/ce_correlationid"


def _key_schema(message: type[Message]) -> Json:
    field = schema_of(message)["properties"][message.key_field]
    (kind,) = [each for each in field.get("anyOf", [field]) if each.get("type") != "null"]
    shown = {name: kind[name] for name in ("type", "format", "maxLength") if name in kind}
    return {**shown, "description": f"{message.topic.key}, as in {message.key_field}"}


def _typed_headers(name: str) -> Json:
    return {
        "type": "object",
        "allOf": [{"$ref": f"{_SCHEMAS}Envelope"}],
        "properties": {"ce_type": {"type": "string", "const": name}},
        "required": ["ce_type"],
    }


def _envelope_schema() -> Json:
    texts = {
        header: {"type": "string", "minLength": 1, "maxLength": longest, "description": _HEADERS[header]}
        for header, longest in _TEXTS
    }
    return {
        "type": "object",
        "description": "CloudEvents 1.0 in Kafka's binary binding; other headers are ignored, all are UTF-8",
        "properties": {
            "ce_specversion": {"type": "string", "const": SPEC_VERSION, "description": "The version of CloudEvents"},
            "content-type": {
                "type": "string",
                "pattern": "^[Aa]pplication/[Jj]son",
                "description": f"{CONTENT_TYPE}; what else may follow is charset=utf-8",
            },
            "ce_clientid": {"type": "string", "format": "uuid", "description": "The client in whose name it is sent"},
            "ce_time": {"type": "string", "format": "date-time", "description": "When it happened"},
            **texts,
            "traceparent": {"type": "string", "maxLength": 256, "description": "W3C Trace Context"},
        },
        "required": list(_REQUIRED),
    }


def _messages_of_groups() -> dict[str, Json]:
    told = {name: {"type": "string", "description": text} for name, text in _PARKED_HEADERS.items()}
    back = {name: told[name] for name in ("parked-topic", "parked-partition", "parked-offset")}
    part = {
        "type": "string",
        "description": "Which part of how many, of a message that is too large for one, as in 1/3",
    }
    return {
        "ParkedMessage": {
            "name": "ParkedMessage",
            "title": "ParkedMessage",
            "summary": "A message as it came, key and value and headers, with headers that say why and whence",
            "headers": {"type": "object", "properties": {**told, "parked-part": part}, "required": list(told)},
            "tags": [{"name": "parked"}],
        },
        "RedrivenMessage": {
            "name": "RedrivenMessage",
            "title": "RedrivenMessage",
            "summary": "A message as it came, key and value and headers, with headers that say whence",
            "headers": {"type": "object", "properties": back, "required": list(back)},
            "tags": [{"name": "parked"}],
        },
    }


def _schemas() -> dict[str, Json]:
    """Every payload under its message's name, and what they are made of under theirs."""
    found: dict[str, Json] = {"Envelope": _envelope_schema()}
    for name, message in MESSAGES.items():
        schema = {word: value for word, value in schema_of(message).items() if not word.startswith(("$", "x-"))}
        definitions = schema_of(message).get("$defs", {})
        names = {each: _shared_name(each, piece, message) for each, piece in definitions.items()}
        for each, piece in {**{names[each]: piece for each, piece in definitions.items()}, name: schema}.items():
            moved = _moved(piece, names)
            assert found.setdefault(each, moved) == moved, each
    return dict(sorted(found.items()))


def _shared_name(name: str, piece: Json, message: type[Message]) -> str:
    """What a command accepts in a part may be more than what an event says in the part of the same name."""
    return f"{name}InCommands" if "properties" in piece and issubclass(message, Command) else name


def _moved(piece: Any, names: dict[str, str]) -> Any:
    """A schema whose references lead to the components of the document."""
    if isinstance(piece, list):
        return [_moved(each, names) for each in piece]
    if not isinstance(piece, dict):
        return piece
    return {
        word: _SCHEMAS + names[value.removeprefix("#/$defs/")] if word == "$ref" else _moved(value, names)
        for word, value in piece.items()
    }

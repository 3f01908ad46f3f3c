"""The AsyncAPI document of the bus: valid, in step with the code, and only ever added to."""

import json
from collections.abc import Iterator
from copy import deepcopy
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from shared.contracts import MESSAGES, TOPICS, read
from shared.kit.parking import Parked, Parking
from shared.kit.received import Origin
from tests.docs.asyncapi import _PARKED_HEADERS, DOCUMENT, document, document_text

from .baselines import REPOSITORY, agreed_commits, text_at
from .bus_additions import breaking_changes_of_bus
from .validators import by_draft_7, by_draft_2020

Json = dict[str, Any]

STALE = "run python -m tests.docs.bus"
#: The specification's own schema, see the note beside it.
OFFICIAL = Path(__file__).parent / "vendored" / "asyncapi-3.0.0.json"
GONE = object()


@pytest.fixture(scope="module")
def bus() -> Json:
    return document()


def _agreed() -> Iterator[Json]:
    """The document as it stands there, and as it stood at each commit that counts."""
    yield json.loads(DOCUMENT.read_text(encoding="utf-8"))
    for commit in agreed_commits():
        text = text_at(commit, DOCUMENT.relative_to(REPOSITORY).as_posix())
        if text is not None:
            yield json.loads(text)


def _references(piece: Any) -> Iterator[str]:
    if isinstance(piece, dict):
        for word, value in piece.items():
            if word == "$ref":
                yield value
            else:
                yield from _references(value)
    elif isinstance(piece, list):
        for each in piece:
            yield from _references(each)


def test_the_document_says_what_the_code_says() -> None:
    assert DOCUMENT.read_text(encoding="utf-8") == document_text(), STALE


def test_the_document_is_valid_by_the_specifications_own_schema(bus: Json) -> None:
    official = json.loads(OFFICIAL.read_text(encoding="utf-8"))
    errors = [f"{error.json_path}: {error.message}" for error in by_draft_7(official).iter_errors(bus)]
    assert errors == []


def test_the_specifications_schema_refuses_what_is_no_document(bus: Json) -> None:
    official = json.loads(OFFICIAL.read_text(encoding="utf-8"))
    broken = deepcopy(bus)
    broken["channels"]["orders.events.v1"]["bindings"]["kafka"]["partitions"] = "twelve"
    assert not by_draft_7(official).is_valid(broken)


def test_every_reference_leads_to_something(bus: Json) -> None:
    for reference in _references(bus):
        at: Any = bus
        for step in reference.removeprefix("#/").split("/"):
            at = at[step]


def test_every_topic_and_every_message_is_in_it_once(bus: Json) -> None:
    assert {topic.name for topic in TOPICS} | {"parked", "redrive"} == bus["channels"].keys()
    travelling = [name for channel in bus["channels"].values() for name in channel["messages"]]
    assert sorted(travelling) == sorted([*MESSAGES, "ParkedMessage", "RedrivenMessage"])


@pytest.mark.parametrize("name", sorted(MESSAGES))
@pytest.mark.parametrize("part", ["headers", "payload"])
def test_an_example_fits_what_is_said_of_its_message(bus: Json, name: str, part: str) -> None:
    schema = {"components": bus["components"], "$ref": f"#/components/messages/{name}/{part}"}
    validator = by_draft_2020(schema)
    (example,) = bus["components"]["messages"][name]["examples"]

    validator.validate(example[part])
    field = "ce_type" if part == "headers" else MESSAGES[name].key_field
    assert not validator.is_valid({**example[part], field: 17}), "the schema lets everything pass"


def test_every_command_is_taken_by_a_service_and_answered(bus: Json) -> None:
    taken = {
        each["$ref"].rpartition("/")[2]
        for operation in bus["operations"].values()
        if operation["action"] == "receive" and "reply" in operation
        for each in operation["messages"]
    }
    commands = {name for name in MESSAGES if bus["components"]["messages"][name]["tags"] == [{"name": "command"}]}
    assert taken == commands


def test_the_headers_of_parked_messages_are_those_that_are_written() -> None:
    parking = Parking(None, "group")  # type: ignore[arg-type]
    written = parking._headers(Parked(origin=Origin("topic", 0, 0), reason="r", detail="d"))
    assert [name for name, _ in written] == list(_PARKED_HEADERS)


def test_the_bus_only_adds_to_what_was_agreed(bus: Json) -> None:
    assert [breaking_changes_of_bus(old, bus) for old in _agreed()] == [[] for _ in _agreed()]


def test_what_was_once_an_example_can_still_be_read() -> None:
    for old in _agreed():
        for name, message in old["components"]["messages"].items():
            for example in message.get("examples", ()):
                headers = {header: value.encode() for header, value in example["headers"].items()}
                key = str(example["payload"][message["x-key"]]).encode()
                came = read(MESSAGES[name].topic.name, key, json.dumps(example["payload"]).encode(), headers)
                assert type(came.message) is MESSAGES[name]


class Change(NamedTuple):
    path: str
    value: Any
    finding: str = ""


_TOPIC = "channels/orders.events.v1"
_KAFKA = f"{_TOPIC}/bindings/kafka"
_MESSAGE = "components/messages/PlaceOrder"
_RECEIVING = "operations/order_service.commands.receives.orders.commands.v1"

BREAKS = [
    Change(_TOPIC, GONE, "orders.events.v1: was removed"),
    Change(f"{_TOPIC}/address", "orders.events.v2", "orders.events.v1: address changed"),
    Change(f"{_TOPIC}/messages/OrderFilled", GONE, "orders.events.v1: OrderFilled was removed"),
    Change(f"{_KAFKA}/partitions", 6, "orders.events.v1: partitions changed"),
    Change(f"{_KAFKA}/topicConfiguration/cleanup.policy", ["compact"], "orders.events.v1: cleanup.policy changed"),
    Change(f"{_KAFKA}/topicConfiguration/retention.ms", 1, "orders.events.v1: retention.ms became shorter"),
    Change(f"{_KAFKA}/topicConfiguration/max.message.bytes", 1, "orders.events.v1: max.message.bytes became smaller"),
    Change(
        "channels/accounts.events.v1/bindings/kafka/topicConfiguration/retention.ms",
        10**15,
        "accounts.events.v1: retention.ms became shorter",
    ),
    Change(
        "channels/accounts.events.v1/bindings/kafka/topicConfiguration/min.compaction.lag.ms",
        1,
        "accounts.events.v1: min.compaction.lag.ms became smaller",
    ),
    Change(_RECEIVING, GONE, "order_service receive PlaceOrder: was removed"),
    Change(f"{_RECEIVING}/messages/0", GONE, "order_service receive PlaceOrder: was removed"),
    Change(f"{_RECEIVING}/reply", GONE, "order_service answer PlaceOrder with CommandRejected: was removed"),
    Change("operations/order_service.sends.orders.events.v1", GONE, "order_service send OrderFilled: was removed"),
    Change(_MESSAGE, GONE, "PlaceOrder: was removed"),
    Change(f"{_MESSAGE}/x-key", "user_id", "PlaceOrder: x-key changed"),
    Change(f"{_MESSAGE}/contentType", "application/avro", "PlaceOrder: contentType changed"),
    Change(f"{_MESSAGE}/bindings/kafka/key/format", "email", "PlaceOrder: the key changed"),
    Change(
        "components/schemas/PlaceOrder/properties/side",
        GONE,
        "PlaceOrder payload: body.side: was removed",
    ),
    Change(
        "components/schemas/OrderSide/enum",
        ["BUY"],
        "PlaceOrder payload: body.side: the value 'SELL' was removed",
    ),
    Change(
        "components/schemas/Envelope/properties/ce_time",
        GONE,
        "PlaceOrder headers: body.ce_time: was removed",
    ),
    Change(
        "components/schemas/Envelope/required",
        [],
        "PlaceOrder headers: body.ce_id: is no longer required",
    ),
]

ADDITIONS = [
    Change("channels/orders.events.v2", {"address": "orders.events.v2"}),
    Change("components/messages/OrderExpired", {"name": "OrderExpired"}),
    Change("components/schemas/OrderFilled/properties/note", {"type": "string"}),
    Change("components/schemas/PlaceOrder/properties/note", {"type": "string"}),
    Change("components/schemas/Envelope/properties/ce_note", {"type": "string"}),
    Change(f"{_KAFKA}/topicConfiguration/retention.ms", -1),
    Change(f"{_MESSAGE}/description", "Better words."),
    Change("info/version", "9.0.0"),
]


def _changed(bus: Json, change: Change) -> Json:
    new = deepcopy(bus)
    # Names of topics hold no slash, so a path parts at every one.
    *path, last = change.path.split("/")
    piece: Any = new
    for step in path:
        piece = piece[int(step)] if isinstance(piece, list) else piece[step]
    at: Any = int(last) if isinstance(piece, list) else last
    if change.value is GONE:
        del piece[at]
    else:
        piece[at] = change.value
    return new


@pytest.mark.parametrize("change", BREAKS, ids=lambda change: change.path)
def test_a_planted_break_is_found(bus: Json, change: Change) -> None:
    assert change.finding in breaking_changes_of_bus(bus, _changed(bus, change))


@pytest.mark.parametrize("change", ADDITIONS, ids=lambda change: change.path)
def test_an_addition_passes(bus: Json, change: Change) -> None:
    assert breaking_changes_of_bus(bus, _changed(bus, change)) == []


def test_another_consumer_group_for_the_same_is_no_change(bus: Json) -> None:
    new = deepcopy(bus)
    receiving = new["operations"].pop("order_service.commands.receives.orders.commands.v1")
    new["operations"]["order_service.orders.receives.orders.commands.v1"] = receiving
    assert breaking_changes_of_bus(bus, new) == []

"""The check of additions finds planted breaks of each kind, and lets additions pass."""

from copy import deepcopy
from typing import Any, NamedTuple

import pytest

from shared.contracts import (
    AllocationCreated,
    CommandAccepted,
    CommandRejected,
    OrderPlaced,
    PlaceOrder,
    RequestRebalancing,
)
from shared.contracts.base import Message
from shared.contracts.export import schema_of

from .additions import breaking_changes

GONE = object()
TEXT = {"type": "string", "maxLength": 10}


class Change(NamedTuple):
    message: type[Message]
    path: str
    value: Any
    finding: str = ""


def _changed(change: Change) -> tuple[dict[str, Any], dict[str, Any]]:
    old = schema_of(change.message)
    new = deepcopy(old)
    *path, last = change.path.split("/")
    piece: Any = new
    for step in path:
        piece = piece[int(step)] if isinstance(piece, list) else piece[step]
    if change.value is GONE:
        del piece[last]
    elif last == "+":
        piece.append(change.value)
    elif last == "-":
        piece.remove(change.value)
    else:
        piece[last] = change.value
    return old, new


BREAKS = [
    Change(OrderPlaced, "properties/currency", GONE, "body.currency: was removed"),
    Change(PlaceOrder, "properties/client_reference", GONE, "body.client_reference: was removed"),
    Change(OrderPlaced, "properties/currency/type", "integer", "body.currency: type changed"),
    Change(PlaceOrder, "properties/account_id/format", GONE, "body.account_id: format changed"),
    Change(PlaceOrder, "properties/currency/pattern", "^[A-Z]{2}$", "body.currency: pattern changed"),
    Change(PlaceOrder, "required/+", "client_reference", "body.client_reference: is now required"),
    Change(OrderPlaced, "required/-", "currency", "body.currency: is no longer required"),
    Change(PlaceOrder, "$defs/OrderSide/enum/-", "SELL", "body.side: the value 'SELL' was removed"),
    Change(
        OrderPlaced,
        "properties/client_reference/anyOf/0/pattern",
        r"^[^\u0000]*$",
        "body.client_reference: pattern changed",
    ),
    Change(
        PlaceOrder, "properties/client_reference/anyOf/0/pattern", r"^[^x]*$", "body.client_reference: pattern changed"
    ),
    Change(OrderPlaced, "$defs/OrderStatus/enum/-", "NEW", "body.status: the value 'NEW' was removed"),
    Change(OrderPlaced, "properties/currency/enum", ["EUR"], "body.currency: now takes only some values"),
    Change(OrderPlaced, "$defs/OrderSide/enum", GONE, "body.side: now takes any value"),
    Change(OrderPlaced, "properties/kind/const", "REBALANCING", "body.kind: the value 'PORTFOLIO' was removed"),
    Change(PlaceOrder, "properties/cash_amount/maxLength", 10, "body.cash_amount: maxLength changed from 36 to 10"),
    Change(OrderPlaced, "properties/cash_amount/maxLength", 99, "body.cash_amount: maxLength changed from 36 to 99"),
    Change(PlaceOrder, "properties/currency/minLength", 3, "body.currency: minLength changed from None to 3"),
    Change(RequestRebalancing, "properties/accounts/anyOf/-", {"type": "null"}, "body.accounts: may no longer be null"),
    Change(
        RequestRebalancing,
        "properties/accounts/anyOf/0/maxItems",
        5,
        "body.accounts: maxItems changed from 10000 to 5",
    ),
    Change(RequestRebalancing, "properties/accounts/anyOf/0/items/format", "date", "body.accounts[]: format changed"),
    Change(RequestRebalancing, "properties/accounts/anyOf/+", TEXT, "body.accounts: has other alternatives"),
    Change(OrderPlaced, "properties/currency", {"anyOf": [TEXT, {"type": "null"}]}, "body.currency: may now be null"),
    Change(
        AllocationCreated,
        "$defs/AllocationItem/properties/weight",
        GONE,
        "body.allocation[].weight: was removed",
    ),
    Change(AllocationCreated, "properties/allocation/items", GONE, "body.allocation: items changed"),
    Change(CommandRejected, "$defs/Problem/properties/status/type", "string", "body.problem.status: type changed"),
    Change(OrderPlaced, "additionalProperties", {}, "body: additionalProperties changed"),
    Change(OrderPlaced, "x-topic", "orders.events.v2", "x-topic changed"),
    Change(OrderPlaced, "x-key", "id", "x-key changed"),
    Change(PlaceOrder, "x-kind", "event", "x-kind changed"),
]

ADDITIONS = [
    Change(OrderPlaced, "properties/note", TEXT),
    Change(PlaceOrder, "properties/note", TEXT),
    Change(CommandAccepted, "properties/note", TEXT),
    Change(PlaceOrder, "required/-", "currency"),
    Change(PlaceOrder, "$defs/OrderSide/enum/+", "SWITCH"),
    Change(OrderPlaced, "$defs/OrderStatus/enum/+", "EXPIRED"),
    Change(PlaceOrder, "properties/cash_amount/maxLength", 99),
    Change(PlaceOrder, "properties/cash_amount/maxLength", GONE),
    Change(PlaceOrder, "properties/configuration_version/anyOf/0/minimum", 0),
    Change(PlaceOrder, "$defs/OrderSide/enum", GONE),
    Change(PlaceOrder, "properties/client_reference/anyOf/0/pattern", r"^[^\u0000]*$"),
    Change(PlaceOrder, "additionalProperties", GONE),
    Change(OrderPlaced, "properties/currency/description", "ISO 4217 alphabetic code"),
]


def _named(change: Change) -> str:
    return f"{change.message.__name__}:{change.path}"


@pytest.mark.parametrize("change", BREAKS, ids=_named)
def test_a_planted_break_is_found(change: Change) -> None:
    assert change.finding in breaking_changes(*_changed(change))


@pytest.mark.parametrize("change", ADDITIONS, ids=_named)
def test_an_addition_passes(change: Change) -> None:
    assert breaking_changes(*_changed(change)) == []


@pytest.mark.parametrize("message", [OrderPlaced, PlaceOrder])
def test_a_new_required_field_is_found(message: type[Message]) -> None:
    old, new = _changed(Change(message, "properties/note", TEXT))
    new["required"].append("note")

    assert breaking_changes(old, new) == ["body.note: is new and required"]


def test_the_same_definition_under_another_name_is_no_change() -> None:
    old = schema_of(PlaceOrder)
    new = deepcopy(old)
    new["$defs"]["Side"] = new["$defs"].pop("OrderSide")
    new["properties"]["side"]["$ref"] = "#/$defs/Side"

    assert breaking_changes(old, new) == []


def test_a_command_may_begin_to_take_null() -> None:
    old = schema_of(PlaceOrder)
    new = deepcopy(old)
    new["properties"]["currency"] = {"anyOf": [old["properties"]["currency"], {"type": "null"}]}

    assert breaking_changes(old, new) == []

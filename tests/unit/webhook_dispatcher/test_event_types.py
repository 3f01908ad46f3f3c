"""What subscribers call the events, and which of them a subscription wants."""

from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.webhook_dispatcher.domain import ALL, Selection, WebhookType, check_selection, webhook_type_of
from services.webhook_dispatcher.domain.event_types import _OF_MESSAGES
from shared.contracts import (
    ACCOUNTS_EVENTS,
    ALLOCATIONS_EVENTS,
    CONFIGURATIONS_EVENTS,
    MESSAGES,
    ORDERS_EVENTS,
    PORTFOLIOS_EVENTS,
    REBALANCINGS_EVENTS,
)
from shared.kit.refusals import InvalidRequest

from .messages import order_placed

ANNOUNCED = (
    ORDERS_EVENTS,
    REBALANCINGS_EVENTS,
    ALLOCATIONS_EVENTS,
    ACCOUNTS_EVENTS,
    CONFIGURATIONS_EVENTS,
    PORTFOLIOS_EVENTS,
)
TYPES = st.sampled_from(list(WebhookType))


def test_every_event_of_the_bus_that_clients_own_has_a_type() -> None:
    announced = {message for message in MESSAGES.values() if message.topic in ANNOUNCED}

    assert announced == set(_OF_MESSAGES)
    assert len(set(_OF_MESSAGES.values())) == len(_OF_MESSAGES)


@given(TYPES)
def test_all_a_category_and_the_full_type_each_want_an_event(webhook_type: WebhookType) -> None:
    for name in (ALL, webhook_type.category, webhook_type.value):
        assert Selection(frozenset({name})).wants(webhook_type)


@given(TYPES)
def test_an_exclusion_wins(webhook_type: WebhookType) -> None:
    for name in (webhook_type.category, webhook_type.value):
        assert not Selection(frozenset({ALL, webhook_type.value}), frozenset({name})).wants(webhook_type)


def test_a_category_is_not_a_prefix() -> None:
    assert not Selection(frozenset({"PORTFOLIO"})).wants(WebhookType.ORDER_NEW)
    assert Selection(frozenset({"PORTFOLIO"})).wants(WebhookType.PORTFOLIO_CREATED)


@pytest.mark.parametrize(
    ("types", "excluded", "locations"),
    [
        (["NEWS"], [], ["body.type.0"]),
        (["ACCOUNT", "account"], [], ["body.type.1"]),
        (["ALL", "ACCOUNT"], [], ["body.type"]),
        (["ALL"], ["ALL", "x"], ["body.exclude_type.0", "body.exclude_type.1"]),
    ],
)
def test_what_is_no_type_is_refused_by_its_place(types: list[str], excluded: list[str], locations: list[str]) -> None:
    with pytest.raises(InvalidRequest) as refused:
        check_selection(types, excluded)

    assert [error.location for error in refused.value.errors] == locations


def test_a_message_is_known_under_its_type() -> None:
    assert webhook_type_of(order_placed(uuid4())) is WebhookType.ORDER_NEW

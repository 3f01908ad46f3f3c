"""The status machine, move by move."""

from itertools import product

import pytest

from services.order_service.consumers import MOVES
from services.order_service.domain import CANCEL_BY_CLIENT, EVENTS, REJECT, TRANSITIONS, Transition
from shared.contracts import (
    OrderCancellationReason,
    OrderCommand,
    OrderKind,
    OrderStatus,
    RebalancingOrderCommand,
)

NEW, PROCESSING, FILLED, SETTLED, CANCELLED = OrderStatus

#: What the domain allows, as pairs.
ALLOWED = {
    OrderKind.PORTFOLIO: {
        (NEW, PROCESSING),
        (PROCESSING, FILLED),
        (FILLED, SETTLED),
        (NEW, CANCELLED),
        (PROCESSING, CANCELLED),
    },
    OrderKind.REBALANCING: {(NEW, PROCESSING), (PROCESSING, FILLED), (NEW, CANCELLED), (PROCESSING, CANCELLED)},
}


@pytest.mark.parametrize(("kind", "start", "end"), list(product(OrderKind, OrderStatus, OrderStatus)))
def test_orders_move_as_the_domain_says_and_in_no_other_way(
    kind: OrderKind, start: OrderStatus, end: OrderStatus
) -> None:
    possible = any(kind in way.kinds and start in way.allowed_from and way.to is end for way in TRANSITIONS)
    assert possible == ((start, end) in ALLOWED[kind])


def test_an_order_in_processing_is_cancelled_by_upstream_alone() -> None:
    cancelling = [way for way in TRANSITIONS if way.to is CANCELLED and OrderKind.PORTFOLIO in way.kinds]
    assert [way for way in cancelling if PROCESSING in way.allowed_from] == [REJECT]
    assert CANCEL_BY_CLIENT.allowed_from == (NEW,)


@pytest.mark.parametrize("way", [way for way in TRANSITIONS if way.to is CANCELLED and way.reason])
def test_a_cancelled_portfolio_order_carries_a_reason_of_the_contract(way: Transition) -> None:
    assert way.reason in set(OrderCancellationReason)


def test_every_status_that_an_order_can_be_in_has_its_event() -> None:
    reached = {(kind, way.to) for way in TRANSITIONS for kind in way.kinds} | {(kind, NEW) for kind in OrderKind}
    assert reached == set(EVENTS)


def test_every_command_about_one_order_moves_it() -> None:
    commands = {*OrderCommand.__subclasses__(), *RebalancingOrderCommand.__subclasses__()}
    assert commands == set(MOVES)

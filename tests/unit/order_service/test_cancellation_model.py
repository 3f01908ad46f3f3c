"""P4 as a small model, explored exhaustively: any order, repetition and loss of events, and orders at any moment.

The rules are the service's own: what an event proves, what an account takes, which revision a copy applies.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from uuid import UUID

import pytest

from services.order_service.domain import AccountCopy, cancellation_bound, check_takes_orders
from shared.contracts import AccountStatus, AccountType
from shared.kit.refusals import Refused
from tests.unit.exploring import explored

CLIENT, ACCOUNT = UUID(int=1), UUID(int=2)
#: created, deleted, created, deleted, created: (version, configured), the revision is the place
EVENTS = ((1, True), (1, False), (2, True), (2, False), (3, True), (3, False), (4, True))
ORDERS = 4
DEPTH = 12
#: what is broken shows early
SHALLOW = 6

Bound = Callable[[int, bool], int]


@dataclass(frozen=True)
class State:
    """What order_service knows and has."""

    revision: int = 0
    version: int = 0
    configured: bool = False
    #: the newest version that anything heard of proves deleted
    proven: int = 0
    #: (version, status), in no order
    orders: tuple[tuple[int, str], ...] = ()


def theirs(version: int, configured: bool) -> int:  # noqa: FBT001 -- as the events tell it
    return cancellation_bound(version, configured=configured)


def steps(bound: Bound, *, by_revision: bool = True) -> Callable[[State], Iterator[State]]:
    def after(state: State) -> Iterator[State]:
        for revision, (version, configured) in enumerate(EVENTS, start=1):
            yield told(state, revision, version, configured, bound(version, configured))
        if len(state.orders) < ORDERS and takes_orders(state):
            yield with_orders(state, [*state.orders, (state.version, "NEW")])
        for order in {each for each in state.orders if each[1] == "NEW"}:
            left = list(state.orders)
            left.remove(order)
            yield with_orders(state, [*left, (order[0], "PROCESSING")])

    def told(state: State, revision: int, version: int, configured: bool, up_to: int) -> State:  # noqa: FBT001
        if revision > state.revision or not by_revision:
            state = replace(state, revision=revision, version=version, configured=configured)
        proven = max(state.proven, version - configured)
        orders = [(of, "CANCELLED" if status == "NEW" and of <= up_to else status) for of, status in state.orders]
        return with_orders(replace(state, proven=proven), orders)

    return after


def takes_orders(state: State) -> bool:
    account = AccountCopy(
        ACCOUNT,
        CLIENT,
        AccountType.PORTFOLIO,
        AccountStatus.ACTIVE,
        configured=state.configured,
        configuration_version=state.version,
    )
    try:
        check_takes_orders(account, CLIENT, None)
    except Refused:
        return False
    return True


def with_orders(state: State, orders: list[tuple[int, str]]) -> State:
    return replace(state, orders=tuple(sorted(orders)))


def holds(state: State) -> bool:
    new = [version for version, status in state.orders if status == "NEW"]
    cancelled = [version for version, status in state.orders if status == "CANCELLED"]
    return all(version > state.proven for version in new) and all(version <= state.proven for version in cancelled)


def test_whatever_comes_in_whatever_order_no_order_of_a_deleted_version_stays_new() -> None:
    reached = explored(State(), steps(theirs), DEPTH)

    assert len(reached) > 500
    assert [state for state in reached if not holds(state)] == []
    assert any(status == "PROCESSING" and of <= s.proven for s in reached for of, status in s.orders), "left alone"


@pytest.mark.parametrize(
    "broken",
    [
        pytest.param(steps(lambda version, configured: 0 if configured else version), id="nothing is inferred"),
        pytest.param(steps(lambda _, configured: 0 if configured else 99), id="cancels without a version"),
        pytest.param(steps(lambda version, _: version), id="cancels what stands"),
        pytest.param(steps(theirs, by_revision=False), id="a late event turns the copy back"),
    ],
)
def test_the_model_sees_what_is_broken(broken: Callable[[State], Iterator[State]]) -> None:
    assert not all(map(holds, explored(State(), broken, SHALLOW)))

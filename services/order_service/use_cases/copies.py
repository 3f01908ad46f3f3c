"""Keeping the copy of accounts, and cancelling what a configuration leaves behind, in one transaction (promise P4).

Apart they would race the taking of orders: an order could be tagged with a version after its orders were cancelled.
"""

from collections.abc import Iterable, Sequence
from typing import Any
from uuid import UUID

from shared.contracts import AccountState, ConfigurationState
from shared.kit.logs import get_logger
from shared.kit.received import Origin, Received
from shared.kit.unit_of_work import UnitOfWork

from ..domain import cancellation_bound
from ..storage import accounts, base_headers, orders

_log = get_logger("copies")

States = Sequence[Received[AccountState | ConfigurationState]]


async def hold_accounts(work: UnitOfWork, account_ids: Iterable[UUID]) -> None:
    """Lock accounts, making stubs of those that are not known, so that decisions and events of each have one order."""
    await accounts.hold(work.connection, account_ids)


async def apply_states(work: UnitOfWork, states: States) -> None:
    """Bring the copy up to date with a batch, and cancel the NEW orders of every version that it proves deleted."""
    of_accounts = _newest(states, AccountState)
    if of_accounts:
        await accounts.apply_accounts(work.connection, _owned(of_accounts))
    of_configurations = _newest(states, ConfigurationState)
    if of_configurations:
        await accounts.apply_configurations(work.connection, _owned(of_configurations))
        await _cancel_left_behind(work, states)
    await _lift_quarantines(work, states)


async def quarantine_accounts(work: UnitOfWork, lost: Sequence[tuple[UUID, Origin]]) -> None:
    """Take no more orders for accounts of which an event could not be read, until a newer one comes or it is redriven.

    `lost` are the accounts with the places of those events.
    """
    by_topic: dict[str, dict[UUID, str]] = {}
    for account_id, origin in lost:
        by_topic.setdefault(origin.topic, {})[account_id] = _reason(origin)
    for topic, reasons in sorted(by_topic.items()):
        await accounts.quarantine(work.connection, topic, reasons)


async def _lift_quarantines(work: UnitOfWork, states: States) -> None:
    redriven = {each.body.account_id: _reason(each.origin) for each in states if _is_redriven(each)}
    if redriven:
        await accounts.lift_quarantine(work.connection, redriven)


def _is_redriven(received: Received[Any]) -> bool:
    # A redriven event keeps its first place, and comes by the group's own topic.
    return not received.record.topic.endswith(received.origin.topic)


def _reason(origin: Origin) -> str:
    return f"unreadable: {origin.topic}/{origin.partition}/{origin.offset}"


async def _cancel_left_behind(work: UnitOfWork, states: States) -> None:
    bounds = [_bound_of(work, state) for state in _furthest(states) if _version_bound(state.body) > 0]
    if not bounds:
        return
    cancelled = await orders.cancel_up_to(work.connection, bounds)
    if cancelled:
        work.wakes({bound.announced_with.shard for bound in bounds})
        _log.info("new orders cancelled", orders=cancelled, accounts=len(bounds))


def _owned(states: Sequence[Received[Any]]) -> list[accounts.OwnedState[Any]]:
    return [accounts.OwnedState(each.envelope.client_id, each.body) for each in states]


def _newest(states: States, kind: type[Any]) -> list[Received[Any]]:
    """The state of the greatest revision of each account, of one kind."""
    newest: dict[UUID, Received[Any]] = {}
    for each in states:
        if isinstance(each.body, kind):
            rival = newest.get(each.body.account_id)
            if rival is None or rival.body.revision < each.body.revision:
                newest[each.body.account_id] = each
    return list(newest.values())


def _furthest(states: States) -> list[Received[Any]]:
    """For each account the first state that proves the most versions deleted: that is what the cancellation is due to.

    Whatever its revision: a state that comes late proves no less.
    """
    furthest: dict[UUID, Received[Any]] = {}
    for each in states:
        if isinstance(each.body, ConfigurationState):
            rival = furthest.get(each.body.account_id)
            if rival is None or _version_bound(rival.body) < _version_bound(each.body):
                furthest[each.body.account_id] = each
    return list(furthest.values())


def _version_bound(state: ConfigurationState) -> int:
    return cancellation_bound(state.version, configured=state.configured)


def _bound_of(work: UnitOfWork, received: Received[ConfigurationState]) -> orders.Bound:
    headers = base_headers(work.outbox, received.cause, received.body.key)
    return orders.Bound(received.body.account_id, _version_bound(received.body), headers)

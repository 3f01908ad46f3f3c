"""Keeping the copies of accounts and of ledger portfolios, and cancelling what their events stop, in one transaction.

Apart they would race the taking of orders: an order could be tagged with a version after its orders were cancelled
(promise P4), or be made for an account after its portfolio's were.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from shared.contracts import AccountState, ConfigurationState, PortfolioState, RebalancingCancellationReason
from shared.kit.logs import get_logger
from shared.kit.received import Origin, Received
from shared.kit.unit_of_work import UnitOfWork

from ..domain import cancellation_bound, stops_orders
from ..storage import accounts, base_headers, execution_orders, orders, portfolios

_log = get_logger("copies")

State = AccountState | ConfigurationState | PortfolioState
States = Sequence[Received[State]]


async def hold_what_is_told_of(work: UnitOfWork, states: States) -> None:
    """Lock the portfolios and then the accounts of a batch, so that decisions and events of each have one order.

    Stubs are made of those that are not known. With a portfolio its accounts are locked, where they must be told.
    """
    of_portfolios, of_accounts = _bodies(states, PortfolioState), _bodies(states, AccountState)
    named = {state.portfolio_id for state in of_accounts if state.portfolio_id is not None}
    told_by = {state.portfolio_id: False for state in of_portfolios}
    told_by |= {state.portfolio_id: True for state in of_portfolios if stops_orders(state)}
    if told_by or named:
        await portfolios.hold(work.connection, {*told_by, *named}, to_write=bool(told_by))
    held = {state.account_id for state in (*of_accounts, *_bodies(states, ConfigurationState))}
    await accounts.hold(work.connection, held, told_by=told_by)


async def apply_states(work: UnitOfWork, states: States) -> None:
    """Bring the copies up to date with a batch, and cancel what it stops.

    That is the NEW orders of every configuration version that it proves deleted, and the NEW execution orders of
    accounts whose ledger portfolio is blocked.
    """
    of_portfolios = _received(states, PortfolioState)
    blocked = await _apply_portfolios(work, of_portfolios) if of_portfolios else []
    of_accounts = _newest(_received(states, AccountState), _account)
    if of_accounts:
        await accounts.apply_accounts(work.connection, _owned(of_accounts.values()))
    of_configurations = _newest(_received(states, ConfigurationState), _account)
    if of_configurations:
        await accounts.apply_configurations(work.connection, _owned(of_configurations.values()))
        await _cancel_left_behind(work, states)
    await _cancel_stopped(work, blocked, of_accounts)
    await _lift_quarantines(work, states)


async def quarantine(
    work: UnitOfWork, lost_accounts: Sequence[tuple[UUID, Origin]], lost_portfolios: Sequence[tuple[UUID, Origin]]
) -> None:
    """Decide nothing for accounts of which an event could not be read, until a newer one comes or it is redriven.

    Nor for the accounts of portfolios of which one could not be. Each comes with the place of the event.
    """
    if lost_portfolios:
        reasons = {portfolio_id: _reason(origin) for portfolio_id, origin in lost_portfolios}
        await portfolios.quarantine(work.connection, reasons)
    by_topic: dict[str, dict[UUID, str]] = {}
    for account_id, origin in lost_accounts:
        by_topic.setdefault(origin.topic, {})[account_id] = _reason(origin)
    for topic, reasons in sorted(by_topic.items()):
        await accounts.quarantine(work.connection, topic, reasons)


async def _apply_portfolios(work: UnitOfWork, states: Sequence[Received[PortfolioState]]) -> list[Received[Any]]:
    """Apply the newest states; answers, for each portfolio that was blocked, the last state that did."""
    blocking = _newest([each for each in states if stops_orders(each.body)], _portfolio)
    newest = [each.body for each in _newest(states, _portfolio).values()]
    applied = [
        portfolios.BlockingState(
            state.portfolio_id,
            state.revision,
            stops_orders(state),
            blocking[state.portfolio_id].body.revision if state.portfolio_id in blocking else 0,
        )
        for state in newest
    ]
    return [blocking[portfolio_id] for portfolio_id in await portfolios.apply(work.connection, applied)]


async def _cancel_stopped(
    work: UnitOfWork, blocked: Sequence[Received[Any]], of_accounts: Mapping[UUID, Received[Any]]
) -> None:
    by_portfolio = {each.body.portfolio_id: each for each in blocked}
    in_portfolios = [account_id for account_id, each in of_accounts.items() if each.body.portfolio_id is not None]
    if not by_portfolio and not in_portfolios:
        return
    found = await execution_orders.stopped_by_portfolios(work.connection, list(by_portfolio), in_portfolios)
    if not found:
        return
    stopped = []
    for account_id, portfolio_id in found.items():
        because = by_portfolio.get(portfolio_id) or of_accounts[account_id]
        stopped.append(execution_orders.Stopped(account_id, base_headers(work.outbox, because.cause, str(account_id))))
    reason = RebalancingCancellationReason.INVALID_ACCOUNT_STATUS
    cancelled = await execution_orders.cancel(work.connection, stopped, reason)
    work.wakes({each.announced_with.shard for each in stopped})
    _log.info("execution orders cancelled", orders=cancelled, accounts=len(stopped), portfolios=len(by_portfolio))


async def _lift_quarantines(work: UnitOfWork, states: States) -> None:
    redriven = [each for each in states if _is_redriven(each)]
    of_portfolios = {each.body.portfolio_id: _reason(each.origin) for each in _received(redriven, PortfolioState)}
    if of_portfolios:
        await portfolios.lift_quarantine(work.connection, of_portfolios)
    others = _received(redriven, AccountState, ConfigurationState)
    if others:
        await accounts.lift_quarantine(work.connection, {each.body.account_id: _reason(each.origin) for each in others})


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


def _owned(states: Iterable[Received[Any]]) -> list[accounts.OwnedState[Any]]:
    return [accounts.OwnedState(each.envelope.client_id, each.body) for each in states]


def _received(states: States, *kinds: type[State]) -> list[Received[Any]]:
    return [each for each in states if isinstance(each.body, kinds)]


def _bodies(states: States, kind: type[State]) -> list[Any]:
    return [each.body for each in _received(states, kind)]


def _account(body: AccountState | ConfigurationState) -> UUID:
    return body.account_id


def _portfolio(body: PortfolioState) -> UUID:
    return body.portfolio_id


def _newest(states: Sequence[Received[Any]], key_of: Callable[[Any], UUID]) -> dict[UUID, Received[Any]]:
    """The state of the greatest revision of each account or portfolio."""
    newest: dict[UUID, Received[Any]] = {}
    for each in states:
        rival = newest.get(key_of(each.body))
        if rival is None or rival.body.revision < each.body.revision:
            newest[key_of(each.body)] = each
    return newest


def _furthest(states: States) -> list[Received[Any]]:
    """For each account the first state that proves the most versions deleted: that is what the cancellation is due to.

    Whatever its revision: a state that comes late proves no less.
    """
    furthest: dict[UUID, Received[Any]] = {}
    for each in _received(states, ConfigurationState):
        rival = furthest.get(each.body.account_id)
        if rival is None or _version_bound(rival.body) < _version_bound(each.body):
            furthest[each.body.account_id] = each
    return list(furthest.values())


def _version_bound(state: ConfigurationState) -> int:
    return cancellation_bound(state.version, configured=state.configured)


def _bound_of(work: UnitOfWork, received: Received[ConfigurationState]) -> orders.Bound:
    headers = base_headers(work.outbox, received.cause, received.body.key)
    return orders.Bound(received.body.account_id, _version_bound(received.body), headers)

"""What a batch of commands on orders will be refused for, in two statements, before any of them is begun.

The same rules decide as when a command is carried out; what they are asked about is read for all commands at once. The
accounts are locked and the copies have caught up: what is foreseen stays true until something is done to the account.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from uuid import UUID

from shared.kit.refusals import Refused
from shared.kit.unit_of_work import UnitOfWork

from ..domain import (
    AccountCopy,
    Standing,
    Transition,
    WantedOrder,
    check_amount,
    check_found_upstream,
    check_movable,
    check_takes_orders,
)
from ..storage import accounts, orders


@dataclass(frozen=True)
class WantedMove:
    """What upstream asks for with an order."""

    transition: Transition
    order_id: UUID
    account_id: UUID
    #: upstream's, where it gives one
    reason: str | None


#: what a command asks for and the client that sent it; None for what is decided in its turn
Asked = tuple[UUID, WantedOrder | WantedMove | None]


async def foresee_refusals(work: UnitOfWork, asked: Sequence[Asked]) -> list[Refused | None]:
    """The refusal that each of `asked` will meet if nothing is done to its account before; None where none is certain.

    The accounts that they are about are locked.
    """
    ordered = {wanted.account_id for _, wanted in asked if isinstance(wanted, WantedOrder)}
    moved = {wanted.order_id for _, wanted in asked if isinstance(wanted, WantedMove)}
    known = await accounts.lock(work.connection, ordered) if ordered else {}
    standings = await orders.standings_of(work.connection, moved) if moved else {}
    return [_refusal(_check_of(client_id, wanted, known, standings)) for client_id, wanted in asked]


def _check_of(
    client_id: UUID,
    wanted: WantedOrder | WantedMove | None,
    known: Mapping[UUID, AccountCopy],
    standings: Mapping[tuple[UUID, UUID], Standing],
) -> Callable[[], None]:
    if isinstance(wanted, WantedOrder):
        return partial(_check_order, client_id, wanted, known.get(wanted.account_id))
    if isinstance(wanted, WantedMove):
        return partial(_check_move, wanted, standings.get((client_id, wanted.order_id)))
    return _nothing_is_certain


def _check_order(client_id: UUID, wanted: WantedOrder, account: AccountCopy | None) -> None:
    check_amount(wanted.cash_amount, wanted.currency)
    check_takes_orders(account, client_id, wanted.configuration_version)


def _check_move(wanted: WantedMove, standing: Standing | None) -> None:
    check_found_upstream(wanted.reason)
    check_movable(wanted.transition, standing, wanted.account_id)


def _nothing_is_certain() -> None:
    """For commands that are decided in their turn."""


def _refusal(check: Callable[[], None]) -> Refused | None:
    try:
        check()
    except Refused as refusal:
        return refusal
    return None

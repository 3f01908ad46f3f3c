"""How orders move: the one table of the status machine.

NEW → PROCESSING → FILLED → SETTLED; NEW → CANCELLED; PROCESSING → CANCELLED by upstream only.
"""

from dataclasses import dataclass
from typing import Final
from uuid import UUID

from shared.contracts import OrderCancellationReason, OrderKind, OrderStatus

from .refusals import OrderNotFound, TransitionNotAllowed

_PORTFOLIO: Final = (OrderKind.PORTFOLIO,)
_REBALANCING: Final = (OrderKind.REBALANCING,)
_BOTH: Final = (OrderKind.PORTFOLIO, OrderKind.REBALANCING)


@dataclass(frozen=True)
class Transition:
    """One way to move: which orders may, from where, to where."""

    kinds: tuple[OrderKind, ...]
    allowed_from: tuple[OrderStatus, ...]
    to: OrderStatus
    #: why an order is cancelled by it; None where it does not cancel, or where upstream says why
    reason: str | None = None


@dataclass(frozen=True)
class Standing:
    """An order as far as moving it goes."""

    account_id: UUID
    kind: OrderKind
    status: OrderStatus


def check_movable(transition: Transition, standing: Standing | None, account_id: UUID | None) -> None:
    """Raise the refusal that stands against moving an order (None: the client has none of that id).

    `account_id` is the account that the order is said to be of, if any is. Raises OrderNotFound, TransitionNotAllowed.
    """
    if standing is None or standing.kind not in transition.kinds or account_id not in (None, standing.account_id):
        raise OrderNotFound
    if standing.status not in transition.allowed_from:
        raise TransitionNotAllowed(standing.status, transition.allowed_from)


START: Final = Transition(_PORTFOLIO, (OrderStatus.NEW,), OrderStatus.PROCESSING)
FILL: Final = Transition(_PORTFOLIO, (OrderStatus.PROCESSING,), OrderStatus.FILLED)
SETTLE: Final = Transition(_PORTFOLIO, (OrderStatus.FILLED,), OrderStatus.SETTLED)
REJECT: Final = Transition(
    _PORTFOLIO,
    (OrderStatus.NEW, OrderStatus.PROCESSING),
    OrderStatus.CANCELLED,
    OrderCancellationReason.REJECTED_BY_UPSTREAM,
)
#: An execution order is an order as any other to its client.
CANCEL_BY_CLIENT: Final = Transition(
    _BOTH, (OrderStatus.NEW,), OrderStatus.CANCELLED, OrderCancellationReason.CANCELLED_BY_CLIENT
)
START_REBALANCING: Final = Transition(_REBALANCING, (OrderStatus.NEW,), OrderStatus.PROCESSING)
FILL_REBALANCING: Final = Transition(_REBALANCING, (OrderStatus.PROCESSING,), OrderStatus.FILLED)
CANCEL_REBALANCING: Final = Transition(_REBALANCING, (OrderStatus.NEW, OrderStatus.PROCESSING), OrderStatus.CANCELLED)

TRANSITIONS: Final = (
    START,
    FILL,
    SETTLE,
    REJECT,
    CANCEL_BY_CLIENT,
    START_REBALANCING,
    FILL_REBALANCING,
    CANCEL_REBALANCING,
)

"""What can be asked of the order service."""

from .copies import apply_states, hold_what_is_told_of, quarantine
from .foresight import WantedMove, foresee_refusals
from .freshness import Copies
from .orders import cancel_order, hold_order, lock_accounts, move_order, page_of_orders, place_order, show_order
from .rebalancings import (
    AT_ONCE,
    cancel_rebalancing,
    page_of_executions,
    request_rebalancing,
    show_execution,
    show_progress,
    work_on,
    work_on_next,
)

__all__ = [
    "AT_ONCE",
    "Copies",
    "WantedMove",
    "apply_states",
    "cancel_order",
    "cancel_rebalancing",
    "foresee_refusals",
    "hold_order",
    "hold_what_is_told_of",
    "lock_accounts",
    "move_order",
    "page_of_executions",
    "page_of_orders",
    "place_order",
    "quarantine",
    "request_rebalancing",
    "show_execution",
    "show_order",
    "show_progress",
    "work_on",
    "work_on_next",
]

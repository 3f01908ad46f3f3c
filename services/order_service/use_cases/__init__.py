"""What can be asked of the order service."""

from .copies import apply_states, hold_accounts, quarantine_accounts
from .freshness import Copies
from .orders import cancel_order, hold_order, lock_accounts, move_order, page_of_orders, place_order, show_order
from .rebalancings import request_rebalancing, show_execution

__all__ = [
    "Copies",
    "apply_states",
    "cancel_order",
    "hold_accounts",
    "hold_order",
    "lock_accounts",
    "move_order",
    "page_of_orders",
    "place_order",
    "quarantine_accounts",
    "request_rebalancing",
    "show_execution",
    "show_order",
]

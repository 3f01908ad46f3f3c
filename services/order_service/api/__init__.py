"""HTTP in: portfolio orders and rebalancings."""

from .orders import orders_router
from .rebalancings import rebalancings_router

__all__ = ["orders_router", "rebalancings_router"]

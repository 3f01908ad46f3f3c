"""Tables and named queries of the order service."""

from . import accounts, execution_orders, executions, listing, orders, portfolios
from .announcements import BaseHeaders, base_headers, common_headers

__all__ = [
    "BaseHeaders",
    "accounts",
    "base_headers",
    "common_headers",
    "execution_orders",
    "executions",
    "listing",
    "orders",
    "portfolios",
]

"""Tables and named queries of the order service."""

from . import accounts, executions, orders
from .announcements import BaseHeaders, base_headers

__all__ = ["BaseHeaders", "accounts", "base_headers", "executions", "orders"]

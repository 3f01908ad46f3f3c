"""The dispatcher over HTTP."""

from .deliveries import delivery_routes
from .ops import ops_delivery_routes
from .subscriptions import subscription_routes

__all__ = ["delivery_routes", "ops_delivery_routes", "subscription_routes"]

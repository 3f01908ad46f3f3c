"""The dispatcher over HTTP."""

from .deliveries import delivery_routes
from .repairs import repair_routes
from .subscriptions import subscription_routes

__all__ = ["delivery_routes", "repair_routes", "subscription_routes"]

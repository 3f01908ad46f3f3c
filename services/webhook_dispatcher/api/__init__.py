"""The dispatcher over HTTP."""

from .actions import action_routes
from .deliveries import delivery_routes
from .ops import ops_delivery_routes
from .repairs import repair_routes
from .subscriptions import subscription_routes
from .watched import watched_routes

__all__ = [
    "action_routes",
    "delivery_routes",
    "ops_delivery_routes",
    "repair_routes",
    "subscription_routes",
    "watched_routes",
]

"""What the dispatcher keeps: tables by way of named statements. One module per noun."""

from sqlalchemy.ext.asyncio import AsyncConnection as Connection

from .attempts import AttemptRow, attempts_of
from .claims import Capacity, claim, hand_back, release_expired
from .copies import (
    KEEPER,
    AccountCopy,
    ConfigurationCopy,
    Deletion,
    apply_accounts,
    apply_configurations,
    gates_of,
    lift_quarantine,
    owners_of,
    quarantine,
)
from .deliveries import (
    DeliveryFilter,
    DeliveryRow,
    close_gate,
    deliveries_matching,
    delivery_of,
    end_deliveries_of,
    plan,
)
from .outcomes import Recorded, record
from .subscriptions import (
    NewSubscription,
    SubscriptionRow,
    add_subscription,
    delete_subscription,
    disable_subscription,
    enabled_subscriptions_of,
    subscription_of,
    subscriptions_of,
)

__all__ = [
    "KEEPER",
    "AccountCopy",
    "AttemptRow",
    "Capacity",
    "ConfigurationCopy",
    "Connection",
    "Deletion",
    "DeliveryFilter",
    "DeliveryRow",
    "NewSubscription",
    "Recorded",
    "SubscriptionRow",
    "add_subscription",
    "apply_accounts",
    "apply_configurations",
    "attempts_of",
    "claim",
    "close_gate",
    "delete_subscription",
    "deliveries_matching",
    "delivery_of",
    "disable_subscription",
    "enabled_subscriptions_of",
    "end_deliveries_of",
    "gates_of",
    "hand_back",
    "lift_quarantine",
    "owners_of",
    "plan",
    "quarantine",
    "record",
    "release_expired",
    "subscription_of",
    "subscriptions_of",
]

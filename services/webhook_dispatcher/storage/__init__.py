"""What the dispatcher keeps: tables by way of named statements. One module per noun."""

from sqlalchemy.ext.asyncio import AsyncConnection as Connection

from .attempts import AttemptRow, attempts_of
from .claims import BY_INDEX, Capacity, Looked, claim, look
from .copies import (
    KEEPER,
    AccountCopy,
    ClientCopy,
    ConfigurationCopy,
    Deletion,
    apply_accounts,
    apply_clients,
    apply_configurations,
    gates_of,
    hold_client,
    lift_quarantine,
    owners_of,
    quarantine,
)
from .deliveries import (
    DeliveryFilter,
    DeliveryRow,
    close_gate,
    deliveries_matching,
    deliveries_of_anybody,
    delivery_of,
    end_deliveries_of,
    plan,
)
from .outcomes import Recorded, record, report
from .packages import pack
from .partitions import keep_partitions
from .returns import hand_back, release_expired
from .standing import Standing, standing
from .subscriptions import (
    Disabled,
    NewSubscription,
    SubscriptionRow,
    add_subscription,
    delete_subscription,
    disable_subscription,
    disable_subscriptions_of,
    enabled_subscriptions_of,
    subscription_of,
    subscriptions_of,
)

__all__ = [
    "BY_INDEX",
    "KEEPER",
    "AccountCopy",
    "AttemptRow",
    "Capacity",
    "ClientCopy",
    "ConfigurationCopy",
    "Connection",
    "Deletion",
    "DeliveryFilter",
    "DeliveryRow",
    "Disabled",
    "Looked",
    "NewSubscription",
    "Recorded",
    "Standing",
    "SubscriptionRow",
    "add_subscription",
    "apply_accounts",
    "apply_clients",
    "apply_configurations",
    "attempts_of",
    "claim",
    "close_gate",
    "delete_subscription",
    "deliveries_matching",
    "deliveries_of_anybody",
    "delivery_of",
    "disable_subscription",
    "disable_subscriptions_of",
    "enabled_subscriptions_of",
    "end_deliveries_of",
    "gates_of",
    "hand_back",
    "hold_client",
    "keep_partitions",
    "lift_quarantine",
    "look",
    "owners_of",
    "pack",
    "plan",
    "quarantine",
    "record",
    "release_expired",
    "report",
    "standing",
    "subscription_of",
    "subscriptions_of",
]

"""What the dispatcher keeps: tables by way of named statements. One module per noun."""

from sqlalchemy.ext.asyncio import AsyncConnection as Connection

from .attempts import AttemptRow, attempts_of
from .changes import (
    Sealed,
    SubscriptionToKeep,
    add_subscription,
    change_subscription,
    lock_subscription,
    pause_subscription,
)
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
    delivery_of,
    end_deliveries_of,
    plan,
)
from .outcomes import Recorded, record, report
from .packages import pack
from .partitions import keep_partitions
from .returns import hand_back, release_expired
from .secrets import keep_keys, lock_ended_keys, replace_keys, sealed_access_of
from .subscriptions import (
    Disabled,
    SubscriptionRow,
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
    "Recorded",
    "Sealed",
    "SubscriptionRow",
    "SubscriptionToKeep",
    "add_subscription",
    "apply_accounts",
    "apply_clients",
    "apply_configurations",
    "attempts_of",
    "change_subscription",
    "claim",
    "close_gate",
    "delete_subscription",
    "deliveries_matching",
    "delivery_of",
    "disable_subscription",
    "disable_subscriptions_of",
    "enabled_subscriptions_of",
    "end_deliveries_of",
    "gates_of",
    "hand_back",
    "hold_client",
    "keep_keys",
    "keep_partitions",
    "lift_quarantine",
    "lock_ended_keys",
    "lock_subscription",
    "look",
    "owners_of",
    "pack",
    "pause_subscription",
    "plan",
    "quarantine",
    "record",
    "release_expired",
    "replace_keys",
    "report",
    "sealed_access_of",
    "subscription_of",
    "subscriptions_of",
]

"""What can be asked of the dispatcher; one module per noun."""

from .deliveries import (
    DeliveryNotFound,
    list_attempts,
    list_deliveries,
    list_deliveries_for_ops,
    read_delivery,
    standing_of_deliveries,
)
from .gate import apply_states, reopen_gates, shut_gates
from .planning import AccountOfAnotherClient, plan_behind_the_gate, plan_deliveries
from .retention import keep_deliveries
from .sending import (
    Endpoints,
    claim_due,
    give_back,
    look_for_due,
    make_attempt,
    record_attempts,
    release_lost,
)
from .subscriptions import (
    ClientRevoked,
    NewEndpoint,
    SubscriptionNotFound,
    delete_subscription,
    list_subscriptions,
    read_subscription,
    subscribe,
)

__all__ = [
    "AccountOfAnotherClient",
    "ClientRevoked",
    "DeliveryNotFound",
    "Endpoints",
    "NewEndpoint",
    "SubscriptionNotFound",
    "apply_states",
    "claim_due",
    "delete_subscription",
    "give_back",
    "keep_deliveries",
    "list_attempts",
    "list_deliveries",
    "list_deliveries_for_ops",
    "list_subscriptions",
    "look_for_due",
    "make_attempt",
    "plan_behind_the_gate",
    "plan_deliveries",
    "read_delivery",
    "read_subscription",
    "record_attempts",
    "release_lost",
    "reopen_gates",
    "shut_gates",
    "standing_of_deliveries",
    "subscribe",
]

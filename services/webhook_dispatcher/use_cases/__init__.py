"""What can be asked of the dispatcher; one module per noun."""

from .deliveries import DeliveryNotFound, list_attempts, list_deliveries, read_delivery
from .gate import apply_states, reopen_gates, shut_gates
from .planning import AccountOfAnotherClient, plan_behind_the_gate, plan_deliveries
from .retention import keep_deliveries
from .secrets import Rotated, forget_former_keys, rotate_secret
from .sending import (
    Endpoints,
    claim_due,
    endpoints_of,
    give_back,
    look_for_due,
    make_attempt,
    record_attempts,
    release_lost,
)
from .subscriptions import (
    ClientRevoked,
    EndpointChange,
    NewEndpoint,
    SubscriptionNotFound,
    SubscriptionRules,
    change_subscription,
    delete_subscription,
    list_subscriptions,
    pause_subscription,
    read_subscription,
    subscribe,
)
from .trials import SubscriptionOff, try_subscription

__all__ = [
    "AccountOfAnotherClient",
    "ClientRevoked",
    "DeliveryNotFound",
    "EndpointChange",
    "Endpoints",
    "NewEndpoint",
    "Rotated",
    "SubscriptionNotFound",
    "SubscriptionOff",
    "SubscriptionRules",
    "apply_states",
    "change_subscription",
    "claim_due",
    "delete_subscription",
    "endpoints_of",
    "forget_former_keys",
    "give_back",
    "keep_deliveries",
    "list_attempts",
    "list_deliveries",
    "list_subscriptions",
    "look_for_due",
    "make_attempt",
    "pause_subscription",
    "plan_behind_the_gate",
    "plan_deliveries",
    "read_delivery",
    "read_subscription",
    "record_attempts",
    "release_lost",
    "reopen_gates",
    "rotate_secret",
    "shut_gates",
    "subscribe",
    "try_subscription",
]

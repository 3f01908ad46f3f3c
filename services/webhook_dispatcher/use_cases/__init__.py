"""What can be asked of the dispatcher; one module per noun."""

from .deliveries import list_attempts, list_deliveries, read_delivery
from .gate import apply_account_states, apply_configuration_states, reopen_gates, shut_gates
from .planning import AccountOfAnotherClient, plan_behind_the_gate, plan_deliveries
from .sending import (
    Endpoints,
    claim_due,
    give_back,
    make_attempt,
    record_attempts,
    release_lost,
)
from .subscriptions import (
    NewEndpoint,
    SubscriptionNotFound,
    delete_subscription,
    list_subscriptions,
    read_subscription,
    subscribe,
)

__all__ = [
    "AccountOfAnotherClient",
    "Endpoints",
    "NewEndpoint",
    "SubscriptionNotFound",
    "apply_account_states",
    "apply_configuration_states",
    "claim_due",
    "delete_subscription",
    "give_back",
    "list_attempts",
    "list_deliveries",
    "list_subscriptions",
    "make_attempt",
    "plan_behind_the_gate",
    "plan_deliveries",
    "read_delivery",
    "read_subscription",
    "record_attempts",
    "release_lost",
    "reopen_gates",
    "shut_gates",
    "subscribe",
]

"""What can be asked of the dispatcher; one module per noun."""

from .deliveries import DeliveryNotFound, list_attempts, list_deliveries, read_delivery
from .disabling import disable_failing
from .gate import apply_states, reopen_gates, shut_gates
from .planning import AccountOfAnotherClient, plan_behind_the_gate, plan_deliveries
from .recovery import (
    RecoveryNotFound,
    RecoveryOver,
    RecoveryUnderWay,
    cancel_recovery,
    go_on_recovering,
    list_recoveries,
    read_recovery,
    recover,
)
from .resending import (
    Discarded,
    StillOpen,
    StoppedForGood,
    SubscriptionSwitchedOff,
    TooLargeToSend,
    note_stopped,
    resend,
)
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
    "Discarded",
    "Endpoints",
    "NewEndpoint",
    "RecoveryNotFound",
    "RecoveryOver",
    "RecoveryUnderWay",
    "StillOpen",
    "StoppedForGood",
    "SubscriptionNotFound",
    "SubscriptionSwitchedOff",
    "TooLargeToSend",
    "apply_states",
    "cancel_recovery",
    "claim_due",
    "delete_subscription",
    "disable_failing",
    "give_back",
    "go_on_recovering",
    "keep_deliveries",
    "list_attempts",
    "list_deliveries",
    "list_recoveries",
    "list_subscriptions",
    "look_for_due",
    "make_attempt",
    "note_stopped",
    "plan_behind_the_gate",
    "plan_deliveries",
    "read_delivery",
    "read_recovery",
    "read_subscription",
    "record_attempts",
    "recover",
    "release_lost",
    "reopen_gates",
    "resend",
    "shut_gates",
    "subscribe",
]

"""The dispatcher's rules; no IO. One module per noun."""

from .addresses import AddressRule, check_url
from .backoff import STANDARD_SCHEDULE, NextStep, Schedule, next_step
from .boundaries import DeliveryBoundary
from .deliveries import (
    Claimed,
    DeliveryState,
    Planned,
    PlannedState,
    Reason,
    Subscription,
    message_id_of,
)
from .event_types import ALL, Selection, WebhookType, check_selection, webhook_type_of
from .gate import ConfigurationNotKnownError, Gate, decide
from .outcomes import Attempt, Outcome, classify, retry_after_seconds
from .package import Happening, package
from .signing import new_signing_secret, signed_headers

__all__ = [
    "ALL",
    "STANDARD_SCHEDULE",
    "AddressRule",
    "Attempt",
    "Claimed",
    "ConfigurationNotKnownError",
    "DeliveryBoundary",
    "DeliveryState",
    "Gate",
    "Happening",
    "NextStep",
    "Outcome",
    "Planned",
    "PlannedState",
    "Reason",
    "Schedule",
    "Selection",
    "Subscription",
    "WebhookType",
    "check_selection",
    "check_url",
    "classify",
    "decide",
    "message_id_of",
    "new_signing_secret",
    "next_step",
    "package",
    "retry_after_seconds",
    "signed_headers",
    "webhook_type_of",
]

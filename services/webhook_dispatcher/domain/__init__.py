"""The dispatcher's rules; no IO. One module per noun."""

from .addresses import LONGEST_URL, URL_PATTERN, AddressNotReached, AddressRule, check_url
from .backoff import STANDARD_SCHEDULE, NextStep, Schedule, next_step
from .boundaries import DeliveryBoundary
from .deliveries import (
    Claimed,
    DeliveryState,
    EndpointConfig,
    Planned,
    PlannedState,
    Reason,
    Subscription,
    message_id_of,
)
from .endpoints import QUICK_SECONDS, CircuitRule, Pace, Report, reports_of
from .event_types import ALL, SELECTABLE, Selection, WebhookType, check_selection, webhook_type_of
from .gate import ConfigurationNotKnownError, Gate, decide
from .outcomes import Attempt, Outcome, classify, retry_after_seconds
from .package import LARGEST_PACKAGE, Happening, items_of, package, packed
from .recoveries import RecoveryPace, RecoveryState
from .signing import new_signing_secret, signed_headers

__all__ = [
    "ALL",
    "LARGEST_PACKAGE",
    "LONGEST_URL",
    "QUICK_SECONDS",
    "SELECTABLE",
    "STANDARD_SCHEDULE",
    "URL_PATTERN",
    "AddressNotReached",
    "AddressRule",
    "Attempt",
    "CircuitRule",
    "Claimed",
    "ConfigurationNotKnownError",
    "DeliveryBoundary",
    "DeliveryState",
    "EndpointConfig",
    "Gate",
    "Happening",
    "NextStep",
    "Outcome",
    "Pace",
    "Planned",
    "PlannedState",
    "Reason",
    "RecoveryPace",
    "RecoveryState",
    "Report",
    "Schedule",
    "Selection",
    "Subscription",
    "WebhookType",
    "check_selection",
    "check_url",
    "classify",
    "decide",
    "items_of",
    "message_id_of",
    "new_signing_secret",
    "next_step",
    "package",
    "packed",
    "reports_of",
    "retry_after_seconds",
    "signed_headers",
    "webhook_type_of",
]

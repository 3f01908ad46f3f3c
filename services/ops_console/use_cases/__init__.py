"""What can be asked of the console."""

from .groups import groups_of, groups_seen
from .parked import parked_message, redriven
from .services import failed_deliveries, outboxes_seen, pause_subscription, resend, subscriptions_seen
from .stories import story_of
from .watching import Picture, Watch

__all__ = [
    "Picture",
    "Watch",
    "failed_deliveries",
    "groups_of",
    "groups_seen",
    "outboxes_seen",
    "parked_message",
    "pause_subscription",
    "redriven",
    "resend",
    "story_of",
    "subscriptions_seen",
]

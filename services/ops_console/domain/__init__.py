"""What ops want to know, decided without any input or output."""

from .groups import GroupSeen, Look, Standing, State, Trend, by_group, group_of, standing_of, state_of, worst_of
from .parked import MOST_KEPT, ParkedFacts, ParkedIndex, ParkedSeen, SentBack
from .stories import Happened, in_order
from .verdicts import (
    DRAINS_WITHIN,
    Finding,
    OutboxSeen,
    SubscriptionSeen,
    Weight,
    of_groups,
    of_outboxes,
    of_parked,
    of_subscriptions,
    of_troubles,
    worst_first,
)
from .windows import Windows

__all__ = [
    "DRAINS_WITHIN",
    "MOST_KEPT",
    "Finding",
    "GroupSeen",
    "Happened",
    "Look",
    "OutboxSeen",
    "ParkedFacts",
    "ParkedIndex",
    "ParkedSeen",
    "SentBack",
    "Standing",
    "State",
    "SubscriptionSeen",
    "Trend",
    "Weight",
    "Windows",
    "by_group",
    "group_of",
    "in_order",
    "of_groups",
    "of_outboxes",
    "of_parked",
    "of_subscriptions",
    "of_troubles",
    "standing_of",
    "state_of",
    "worst_first",
    "worst_of",
]

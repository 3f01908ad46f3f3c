"""What happened to an account, over all services, as one story."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Happened:
    """One thing that happened."""

    at: datetime
    #: who tells of it: a topic or a service
    told_by: str
    #: an event's type, or a delivery's
    what: str
    #: what stands out of it, in words
    detail: str = ""
    #: all that is known of it, as JSON takes it
    whole: dict[str, Any] = field(default_factory=dict, repr=False)


def in_order(told: Iterable[Happened]) -> list[Happened]:
    """By time; of the same time in the order in which they were told, which is that of their topic."""
    return sorted(told, key=lambda each: each.at)

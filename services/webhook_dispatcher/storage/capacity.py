"""Capacity: what a claim may take, as the process that claims knows it."""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from uuid import UUID


@dataclass(frozen=True)
class Capacity:
    """How much this process can take on now."""

    #: for endpoints that answer quickly
    free: int
    per_endpoint: int
    #: subscription -> how many of its deliveries are under way here
    busy: Mapping[UUID, int]
    #: for all other endpoints together
    free_for_slow: int = 100
    #: client -> how many of its deliveries are under way here
    busy_clients: Mapping[UUID, int] = field(default_factory=dict)
    #: subscriptions whose endpoints have begun to be slow just now
    strained: Collection[UUID] = ()

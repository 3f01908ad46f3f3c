"""The rule of the project: a rebalancing event goes out only while its account has a configuration.

An event belongs to one configuration version: what was stopped is never sent later (P5).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

from .deliveries import PlannedState, Reason

#: why the gate stops deliveries
GATE_REASONS: Final = (Reason.NOT_CONFIGURED, Reason.OLDER_CONFIGURATION, Reason.CONFIGURATION_DELETED)

#: is told how many deliveries the gate has stopped, and why
Stopped = Callable[[Reason, int], None]


def told_to_nobody(_: Reason, __: int) -> None:
    """Where nobody counts."""


class ConfigurationNotKnownError(Exception):
    """The event names a configuration version that is newer than the copy's.

    Its announcement may be on its way, so the message is tried again for a moment, and then parked.
    """


@dataclass(frozen=True)
class Gate:
    """What is known of an account's configuration."""

    version: int
    configured: bool
    #: a record of this account could not be read: the copy may be out of date
    quarantined: bool = False
    #: how far the copy had come in Kafka when it was read
    position: int | None = None


@dataclass(frozen=True)
class Decision:
    """Whether an event's deliveries wait to be sent, under which version, and why not."""

    state: PlannedState
    version: int | None
    reason: Reason | None = None


def decide(gate: Gate | None, named: int | None) -> Decision:
    """Decide on an event that names configuration version `named`, or none; raises ConfigurationNotKnownError."""
    if gate is None or not gate.configured:
        return Decision(PlannedState.SUPPRESSED, named or (gate.version if gate else None), Reason.NOT_CONFIGURED)
    if named is None or named == gate.version:
        return Decision(PlannedState.WAITING, gate.version)
    if named > gate.version:
        raise ConfigurationNotKnownError(f"version {named} is named, {gate.version} is the newest known")
    return Decision(PlannedState.SUPPRESSED, named, Reason.OLDER_CONFIGURATION)

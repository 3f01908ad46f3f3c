"""P5 as a small model, explored exhaustively: the barrier, the gate, two replicas, slow sends, and deletions.

The log of configurations becomes readable and is applied event by event. An engine's event is taken up, planned once
the copy has come as far as Kafka was then, claimed by a replica, answered late or never, and claimed again. Planning
and claiming decide by the dispatcher's own rule; the claim's SQL is that rule for a version that is known.
"""

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import pytest

from services.webhook_dispatcher.domain import ConfigurationNotKnownError, Gate, PlannedState, decide
from tests.unit.exploring import explored

#: created, deleted, created: (version, configured)
LOG = ((1, True), (1, False), (2, True))
REPLICAS = ("a", "b")
ATTEMPTS = 3
DEPTH = 14


@dataclass(frozen=True)
class State:
    """The log, the copy, and one event's delivery."""

    readable: int = 0
    applied: int = 0
    #: how much of the log could be read when the event was taken up; None before that
    taken_at: int | None = None
    delivery: str | None = None
    version: int | None = None
    holder: str | None = None
    gate_closed: bool = False
    attempts: int = 0
    #: what its last claim rested on: how far the copy had come
    claimed_at: int | None = None


@dataclass(frozen=True)
class Rules:
    """What can be broken."""

    barrier: bool = True
    asked_by_the_claim: bool = True
    by_version: bool = True
    marks_what_is_leased: bool = True


def steps(named: int | None, rules: Rules) -> Callable[[State], Iterator[State]]:
    def after(state: State) -> Iterator[State]:
        if state.readable < len(LOG):
            yield replace(state, readable=state.readable + 1)
        if state.applied < state.readable:
            yield applied(state, rules)
        if state.taken_at is None:
            yield replace(state, taken_at=state.readable)
        elif state.delivery is None and (state.applied >= state.taken_at or not rules.barrier):
            yield from planned(state, named)
        elif state.delivery == "WAITING" and state.attempts < ATTEMPTS:
            yield from (claimed(state, replica, rules) for replica in REPLICAS)
        elif state.delivery == "LEASED":
            yield replace(state, delivery="DELIVERED", holder=None)
            # A failure, a hand-back, and a lease that ran out while its holder slept.
            yield replace(state, delivery="SUPPRESSED" if state.gate_closed else "WAITING", holder=None)

    return after


def gate_of(state: State) -> Gate | None:
    return Gate(*LOG[state.applied - 1]) if state.applied else None


def applied(state: State, rules: Rules) -> State:
    version, configured = LOG[state.applied]
    state = replace(state, applied=state.applied + 1)
    if state.version is None or state.version > version - configured:
        return state
    if state.delivery == "WAITING" and rules.asked_by_the_claim:
        return replace(state, delivery="SUPPRESSED")
    if state.delivery == "LEASED" and rules.marks_what_is_leased:
        return replace(state, gate_closed=True)
    return state


def planned(state: State, named: int | None) -> Iterator[State]:
    try:
        decision = decide(gate_of(state), named)
    except ConfigurationNotKnownError:
        return  # tried again
    yield replace(state, delivery=decision.state.value, version=decision.version)


def claimed(state: State, replica: str, rules: Rules) -> State:
    gate = gate_of(state)
    asked = state.version if rules.by_version else None
    if rules.asked_by_the_claim and decide(gate, asked).state is PlannedState.SUPPRESSED:
        return replace(state, delivery="SUPPRESSED")
    return replace(state, delivery="LEASED", holder=replica, attempts=state.attempts + 1, claimed_at=state.applied)


def deleted_at(version: int) -> int:
    """How far the copy has come once the deletion of this version is applied."""
    return next((at for at, (of, stands) in enumerate(LOG, start=1) if of - stands >= version), len(LOG) + 1)


def holds(state: State) -> bool:
    if state.claimed_at is None or state.version is None:
        return True
    late = state.claimed_at >= deleted_at(state.version)
    readable_before = state.taken_at is not None and state.taken_at >= deleted_at(state.version)
    return not late and not readable_before


@pytest.mark.parametrize("named", [None, 1, 2])
def test_no_attempt_begins_after_its_deletion_and_none_that_the_barrier_should_stop(named: int | None) -> None:
    reached = explored(State(), steps(named, Rules()), DEPTH)

    assert len(reached) > 100
    assert [state for state in reached if not holds(state)] == []
    assert {"DELIVERED", "SUPPRESSED"} <= {state.delivery for state in reached}


@pytest.mark.parametrize(
    ("named", "broken"),
    [
        pytest.param(1, Rules(barrier=False), id="no barrier"),
        pytest.param(1, Rules(asked_by_the_claim=False), id="asked only when planned"),
        pytest.param(1, Rules(by_version=False, marks_what_is_leased=False), id="asked without the version"),
    ],
)
def test_the_model_sees_what_is_broken(named: int | None, broken: Rules) -> None:
    assert not all(map(holds, explored(State(), steps(named, broken), DEPTH)))

"""Plan: a batch of events becomes one delivery per event and matching subscription."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from uuid import UUID

from services.webhook_dispatcher import storage
from services.webhook_dispatcher.domain import (
    LARGEST_PACKAGE,
    Gate,
    Happening,
    Planned,
    PlannedState,
    Reason,
    Stopped,
    Subscription,
    decide,
    package,
    packed,
    told_to_nobody,
)
from shared.contracts import new_id
from shared.kit.refusals import Forbidden
from shared.kit.unit_of_work import UnitOfWork

from .gate import once_committed

#: bounds what is in memory at once where a client has many subscriptions
_AT_ONCE = 500

#: stands for a body that is too large: the event itself stays in Kafka for its time
_NOTHING = b""


class AccountOfAnotherClient(Forbidden):
    """The account of this event belongs to another client than the one that it was sent for."""


Decided = tuple[PlannedState, int | None, Reason | None, int | None]
Decision = Callable[[Happening], Decided]


async def plan_deliveries(work: UnitOfWork, happenings: Sequence[Happening]) -> set[UUID]:
    """Plan events that go out whether or not the account is configured; answers for which subscriptions."""
    return await _plan(work, happenings, lambda _: (PlannedState.WAITING, None, None, None), gated=False)


async def plan_behind_the_gate(
    work: UnitOfWork, happenings: Sequence[Happening], stopped: Stopped = told_to_nobody
) -> tuple[set[UUID], list[int]]:
    """Plan rebalancing events, on configurations that a deletion cannot change before this is committed (P5).

    Answers for which subscriptions, and the places of those that are refused, since their account is another client's.
    Raises ConfigurationNotKnownError for a version that is not known yet.
    """
    accounts = [each.account_id for each in happenings if each.account_id is not None]
    gates = await storage.gates_of(work.connection, accounts)
    foreign = _foreign_among(happenings, await storage.owners_of(work.connection, accounts))
    own = [each for place, each in enumerate(happenings) if place not in foreign]
    told = once_committed(work, stopped)
    planned = await _plan(work, own, lambda happening: _decided(happening, gates), gated=True, stopped=told)
    return planned, sorted(foreign)


def _foreign_among(happenings: Sequence[Happening], owners: dict[UUID, UUID]) -> set[int]:
    # An account that nobody has announced has no configuration either: the gate stops its events.
    return {
        place
        for place, each in enumerate(happenings)
        if each.account_id in owners and owners[each.account_id] != each.client_id
    }


def _decided(happening: Happening, gates: dict[UUID, Gate]) -> Decided:
    gate = gates.get(happening.account_id) if happening.account_id is not None else None
    decision = decide(gate, happening.configuration_version)
    return decision.state, decision.version, decision.reason, gate.position if gate else None


async def _plan(
    work: UnitOfWork,
    happenings: Sequence[Happening],
    decision: Decision,
    *,
    gated: bool,
    stopped: Stopped = told_to_nobody,
) -> set[UUID]:
    subscriptions = await storage.enabled_subscriptions_of(work.connection, {each.client_id for each in happenings})
    part: list[Planned] = []
    told: set[UUID] = set()
    for planned in _deliveries(happenings, subscriptions, decision, gated=gated):
        part.append(planned)
        told.add(planned.subscription_id)
        if len(part) == _AT_ONCE:
            await _store(work, part, stopped)
            part = []
    await _store(work, part, stopped)
    return told


async def _store(work: UnitOfWork, part: Sequence[Planned], stopped: Stopped) -> None:
    packages = packed(part)
    taken = await storage.pack(work.connection, packages)
    await storage.plan(work.connection, [each for each in packages if each.id not in taken])
    suppressed = Counter(each.reason for each in packages if each.state is PlannedState.SUPPRESSED)
    for reason, deliveries in suppressed.items():
        if reason is not None:
            stopped(reason, deliveries)


def _deliveries(
    happenings: Sequence[Happening], subscriptions: Sequence[Subscription], decision: Decision, *, gated: bool
) -> Iterator[Planned]:
    for happening in happenings:
        # Decided also where nobody listens: what is wrong with an event must not depend on who subscribes.
        decided = decision(happening)
        for subscription in subscriptions:
            if not _is_for(happening, subscription):
                continue
            body = package(happening, subscription.id)
            state, version, reason, position = decided
            if state is PlannedState.WAITING and len(body) > LARGEST_PACKAGE:
                state, reason, body = PlannedState.FAILED, Reason.BODY_TOO_LARGE, _NOTHING
            yield Planned(
                id=new_id(),
                subscription_id=subscription.id,
                client_id=happening.client_id,
                account_id=happening.account_id,
                event_source=happening.source,
                event_id=happening.id,
                event_time=happening.time,
                webhook_type=happening.webhook_type,
                gated=gated,
                configuration_version=version,
                state=state,
                reason=reason,
                planned_position=position,
                body=body,
                ordered=subscription.ordered and happening.account_id is not None,
                delay=subscription.delay,
                package_size=subscription.max_package_size,
                traceparent=happening.traceparent,
            )


def _is_for(happening: Happening, subscription: Subscription) -> bool:
    return subscription.client_id == happening.client_id and subscription.selection.wants(happening.webhook_type)

"""Resending: what has ended is planned anew, through the gate, under its old id."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from uuid import UUID

from services.webhook_dispatcher import storage
from services.webhook_dispatcher.domain import (
    DeliveryState,
    Gate,
    PlannedState,
    Reason,
    Stopped,
    decide,
    told_to_nobody,
)
from services.webhook_dispatcher.storage import DeliveryRow, Ended, Reopening
from shared.kit.cause import Cause
from shared.kit.refusals import Conflict
from shared.kit.unit_of_work import Database, UnitOfWork

from .deliveries import DeliveryNotFound, read_delivery
from .gate import once_committed


class StillOpen(Conflict):
    """The delivery has not ended: it waits for an attempt, or one is under way."""


class StoppedForGood(Conflict):
    """The gate has stopped this event: the configuration that it belongs to is gone, so it is never sent."""


class Discarded(Conflict):
    """The delivery was discarded with its subscription, or with its client's access."""


class TooLargeToSend(Conflict):
    """The event is larger than the body of a webhook may be."""


class SubscriptionSwitchedOff(Conflict):
    """The subscription is switched off or deleted: nothing is sent to it."""


_REFUSED = {
    DeliveryState.WAITING: StillOpen,
    DeliveryState.LEASED: StillOpen,
    DeliveryState.SUPPRESSED: StoppedForGood,
    DeliveryState.DISCARDED: Discarded,
}


async def resend(work: UnitOfWork, delivery_id: UUID) -> DeliveryRow:
    """Let the client's delivery wait again, whether it has failed or was delivered; answers it as it is then.

    Raises DeliveryNotFound, StillOpen, StoppedForGood (see `note_stopped`), Discarded, TooLargeToSend and
    SubscriptionSwitchedOff.
    """
    client_id = work.cause.client_id
    ended = await storage.ended_delivery(work.connection, client_id, delivery_id)
    if ended is None:
        raise DeliveryNotFound
    if ended.state in _REFUSED:
        raise _REFUSED[ended.state]
    if ended.reason is Reason.BODY_TOO_LARGE:
        raise TooLargeToSend
    passed, _ = await ask_the_gate(work, [ended])
    if not passed:
        raise StoppedForGood
    if not await storage.hold_enabled(work.connection, ended.subscription_id):
        raise SubscriptionSwitchedOff
    if not await storage.reopen(work.connection, passed):
        # Somebody else was faster.
        raise StillOpen
    return await read_delivery(work.connection, client_id, delivery_id)


async def note_stopped(work: UnitOfWork, delivery_id: UUID, stopped: Stopped = told_to_nobody) -> None:
    """Note of the client's delivery, if it has failed, that the gate would not let it be sent again."""
    ended = await storage.ended_delivery(work.connection, work.cause.client_id, delivery_id)
    if ended is not None and ended.state is DeliveryState.FAILED:
        _, behind = await ask_the_gate(work, [ended])
        reason = Reason.CONFIGURATION_DELETED
        await storage.stop_ended(work.connection, behind, reason, once_committed(work, stopped))


@asynccontextmanager
async def noting_what_is_stopped(
    database: Database, cause: Cause, delivery_id: UUID, stopped: Stopped
) -> AsyncIterator[None]:
    """Let what `resend` raises in the block pass, having noted what the gate did not let through (see `note_stopped`).

    The note is a transaction of its own, since the one of the block is rolled back.
    """
    try:
        yield
    except StoppedForGood:
        async with database.unit_of_work(cause) as work:
            await note_stopped(work, delivery_id, stopped)
        raise


async def ask_the_gate(work: UnitOfWork, asked: Sequence[Ended]) -> tuple[list[Reopening], list[Ended]]:
    """Decide which may be sent again, on configurations that a deletion cannot change before this is committed (P5).

    An event belongs to the version that it was planned under, whatever the account has been configured with since.
    """
    accounts = [each.account_id for each in asked if each.gated and each.account_id]
    gates = await storage.gates_of(work.connection, accounts) if accounts else {}
    passed: list[Reopening] = []
    stopped: list[Ended] = []
    for each in asked:
        gate = gates.get(each.account_id) if each.account_id else None
        if each.gated and not _is_open(gate, each):
            stopped.append(each)
        else:
            passed.append(Reopening(each, gate.position if gate else None))
    return passed, stopped


def _is_open(gate: Gate | None, ended: Ended) -> bool:
    return decide(gate, ended.configuration_version).state is PlannedState.WAITING

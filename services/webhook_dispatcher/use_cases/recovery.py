"""Recovery: everything that has failed in a window of time is sent again, a little at a time, by any replica."""

from datetime import datetime
from uuid import UUID

from services.webhook_dispatcher import storage
from services.webhook_dispatcher.domain import Reason, RecoveryPace, RecoveryState, Stopped, told_to_nobody
from services.webhook_dispatcher.storage import Connection, Ended, RecoveryRow, Step, Turn
from shared.contracts import new_id
from shared.kit.paging import Page, Part
from shared.kit.refusals import Conflict, FieldError, InvalidRequest, NotFound
from shared.kit.unit_of_work import Database, UnitOfWork

from .gate import once_committed
from .resending import SubscriptionSwitchedOff, ask_the_gate
from .subscriptions import read_subscription


class RecoveryNotFound(NotFound):
    """There is no such recovery."""


class RecoveryUnderWay(Conflict):
    """A recovery of this subscription is running: wait for its end, or cancel it."""


class RecoveryOver(Conflict):
    """The recovery is not running any more."""


async def recover(work: UnitOfWork, subscription_id: UUID, since: datetime, until: datetime | None) -> RecoveryRow:
    """Begin to send again what was planned for the client's subscription in the window and has failed.

    The window ends now at the latest. Raises InvalidRequest, SubscriptionNotFound, SubscriptionSwitchedOff and
    RecoveryUnderWay.
    """
    if until is not None and until < since:
        raise InvalidRequest(errors=[FieldError("body.until", "must not come before since")])
    client_id = work.cause.client_id
    await read_subscription(work.connection, client_id, subscription_id)
    if not await storage.hold_enabled(work.connection, subscription_id):
        raise SubscriptionSwitchedOff
    begun = await storage.add_recovery(work.connection, client_id, new_id(), subscription_id, (since, until))
    if begun is None:
        raise RecoveryUnderWay
    return begun


async def read_recovery(connection: Connection, client_id: UUID, recovery_id: UUID) -> tuple[RecoveryRow, int]:
    """The client's recovery, and how much of what it has sent again has not ended; raises RecoveryNotFound."""
    row = await storage.recovery_of(connection, client_id, recovery_id)
    if row is None:
        raise RecoveryNotFound
    return row, await storage.waiting_of(connection, recovery_id)


async def list_recoveries(
    connection: Connection, client_id: UUID, subscription_id: UUID, page: Page
) -> Part[RecoveryRow]:
    """A page of the recoveries of the client's subscription; raises SubscriptionNotFound."""
    await read_subscription(connection, client_id, subscription_id)
    return await storage.recoveries_of(connection, client_id, subscription_id, page)


async def cancel_recovery(work: UnitOfWork, recovery_id: UUID) -> None:
    """Send nothing more of it again; what waits already goes on. Raises RecoveryNotFound and RecoveryOver."""
    client_id = work.cause.client_id
    if await storage.cancel_recovery(work.connection, client_id, recovery_id):
        return
    if await storage.recovery_of(work.connection, client_id, recovery_id) is None:
        raise RecoveryNotFound
    raise RecoveryOver


async def go_on_recovering(database: Database, pace: RecoveryPace, stopped: Stopped = told_to_nobody) -> bool:
    """Take one step of the recovery whose turn it is; False where none may go on now."""
    async with database.driver_connection() as connection:
        if not await storage.any_recovery_due(connection):
            return False
    async with database.unit_of_work() as work:
        turn = await storage.take_recovery(work.connection)
        if turn is not None:
            await storage.advance(work.connection, turn, await _step(work, turn, pace, stopped))
    return turn is not None


async def _step(work: UnitOfWork, turn: Turn, pace: RecoveryPace, told: Stopped = told_to_nobody) -> Step:
    room = await storage.room_in(work.connection, turn, untried=pace.untried, open_=pace.open)
    failed = await storage.failed_next(work.connection, turn, room) if room else []
    # Configurations before subscriptions before deliveries, as everywhere.
    sendable = [each for each in failed if each.reason is not Reason.BODY_TOO_LARGE]
    passed, stopped = await ask_the_gate(work, sendable)
    if not await storage.hold_enabled(work.connection, turn.subscription_id):
        return Step(None, 0, 0, 0, RecoveryState.STOPPED, Reason.SUBSCRIPTION_DISABLED.value, 0.0)
    reopened = await storage.reopen(work.connection, passed, turn.id)
    await storage.stop_ended(work.connection, stopped, Reason.CONFIGURATION_DELETED, once_committed(work, told))
    return Step(
        reached=_last(failed),
        recovered=len(reopened),
        suppressed=len(stopped),
        left_out=len(failed) - len(sendable),
        state=RecoveryState.RUNNING if len(failed) == room else RecoveryState.COMPLETED,
        reason=None,
        pause=pace.pause if room else pace.pause_when_full,
    )


def _last(failed: list[Ended]) -> Ended | None:
    return failed[-1] if failed else None

"""Recoveries: what has failed in a window of time is sent again, a little at a time.

Each is a row with its progress, moved on in the transaction of the step that it tells of: a process that dies in the
midst of one has done nothing, and any other goes on from there.
"""

from dataclasses import dataclass
from datetime import datetime
from uuid import UUID

import asyncpg
from sqlalchemy import RowMapping, column, select, table, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.webhook_dispatcher.domain import RecoveryState
from shared.kit.listing import page_of
from shared.kit.paging import Page, Part

from .reopenings import Ended, ended_in


@dataclass(frozen=True)
class RecoveryRow:
    """A recovery as its client sees it."""

    id: UUID
    client_id: UUID
    subscription_id: UUID
    since: datetime
    until: datetime
    state: RecoveryState
    reason: str | None
    #: it has gone through what was planned up to here
    reached_at: datetime
    recovered: int
    suppressed: int
    left_out: int
    created_at: datetime
    updated_at: datetime


@dataclass(frozen=True)
class Turn:
    """A recovery whose next step is this transaction's."""

    id: UUID
    subscription_id: UUID
    until: datetime
    reached_at: datetime
    reached_id: UUID


@dataclass(frozen=True)
class Step:
    """What a step has done."""

    #: the delivery that the next one goes on behind; None where it has not come further
    reached: Ended | None
    recovered: int
    suppressed: int
    left_out: int
    #: what it is now
    state: RecoveryState
    reason: str | None
    #: seconds until the next one
    pause: float


_SEEN = (
    "id, client_id, subscription_id, since, until, state, reason, reached_at, recovered, suppressed, left_out, "
    "created_at, updated_at"
)

#: It ends where it begins to be made, so that it cannot run after what it does itself.
_ADD = text(
    f"""
    INSERT INTO recoveries (id, client_id, subscription_id, since, until, reached_at)
    VALUES (:id, :client_id, :subscription_id, :since, least(coalesce(CAST(:until AS timestamptz), now()), now()),
            :since)
    ON CONFLICT (subscription_id) WHERE state = 'RUNNING' DO NOTHING
    RETURNING {_SEEN}
    """  # noqa: S608 -- our columns
)

_ONE = text(
    f"SELECT {_SEEN} FROM recoveries "  # noqa: S608 -- our columns
    "WHERE id = :id AND client_id = :client_id"
)
_RECOVERIES = table("recoveries", *(column(name) for name in _SEEN.split(", ")))

_CANCEL = text(
    """
    UPDATE recoveries SET state = 'CANCELLED', updated_at = clock_timestamp()
    WHERE id = :id AND client_id = :client_id AND state = 'RUNNING'
    RETURNING id
    """
)

_ANY_DUE = "SELECT EXISTS (SELECT FROM recoveries WHERE state = 'RUNNING' AND due_at <= clock_timestamp())"

#: Whose turn came first; what another process is at is left to it.
_TAKE = text(
    """
    SELECT id, subscription_id, until, reached_at, reached_id FROM recoveries
    WHERE state = 'RUNNING' AND due_at <= clock_timestamp()
    ORDER BY due_at LIMIT 1 FOR NO KEY UPDATE SKIP LOCKED
    """
)

#: Only what was not tried since is in the way of live deliveries; the rest waits for its schedule. Counted no further
#: than the bound.
_ROOM = text(
    """
    SELECT greatest(0, least(CAST(:untried AS int) - count(*) FILTER (WHERE attempts = tried_before),
                             CAST(:open AS int) - count(*)))
    FROM (SELECT attempts, tried_before FROM deliveries_open WHERE recovery_id = :id LIMIT :open) AS counted
    """
)

_WAITING = text("SELECT count(*) FROM deliveries_open WHERE recovery_id = :id")

_NEXT = text(
    """
    SELECT id, subscription_id, account_id, gated, configuration_version, state, reason, created_at, updated_at
    FROM deliveries_ended
    WHERE subscription_id = :subscription_id AND state = 'FAILED' AND state <> 'DELIVERED'
      AND (created_at, id) > (:reached_at, :reached_id) AND created_at < :until
    ORDER BY created_at, id LIMIT :at_most
    """
)

_ADVANCE = text(
    """
    UPDATE recoveries
    SET reached_at = coalesce(CAST(:reached_at AS timestamptz), reached_at),
        reached_id = coalesce(CAST(:reached_id AS uuid), reached_id),
        recovered = recovered + :recovered, suppressed = suppressed + :suppressed, left_out = left_out + :left_out,
        state = :state, reason = :reason, due_at = clock_timestamp() + make_interval(secs => CAST(:pause AS float8)),
        updated_at = CASE WHEN CAST(:changed AS boolean) THEN clock_timestamp() ELSE updated_at END
    WHERE id = :id
    """
)

_FORGET = text("DELETE FROM recoveries WHERE state <> 'RUNNING' AND updated_at < now() - interval '90 days'")


async def add_recovery(
    connection: AsyncConnection,
    client_id: UUID,
    new_id: UUID,
    subscription_id: UUID,
    window: tuple[datetime, datetime | None],
) -> RecoveryRow | None:
    """Begin one; None where another one of the subscription is running."""
    since, until = window
    named = {"id": new_id, "client_id": client_id, "subscription_id": subscription_id, "since": since, "until": until}
    row = (await connection.execute(_ADD, named)).mappings().first()
    return _row(row) if row else None


async def recovery_of(connection: AsyncConnection, client_id: UUID, recovery_id: UUID) -> RecoveryRow | None:
    """The client's recovery; None where it has none of that id."""
    row = (await connection.execute(_ONE, {"id": recovery_id, "client_id": client_id})).mappings().first()
    return _row(row) if row else None


async def recoveries_of(
    connection: AsyncConnection, client_id: UUID, subscription_id: UUID, page: Page
) -> Part[RecoveryRow]:
    """A page of the recoveries of the client's subscription."""
    of = _RECOVERIES.c.client_id == client_id, _RECOVERIES.c.subscription_id == subscription_id
    return (await page_of(connection, select(_RECOVERIES).where(*of), page, id_column="id")).of(_row)


async def waiting_of(connection: AsyncConnection, recovery_id: UUID) -> int:
    """How many deliveries that it has sent again have not ended yet."""
    waiting: int = (await connection.execute(_WAITING, {"id": recovery_id})).scalar_one()
    return waiting


async def cancel_recovery(connection: AsyncConnection, client_id: UUID, recovery_id: UUID) -> bool:
    """End the client's recovery; False where it was not running."""
    named = {"id": recovery_id, "client_id": client_id}
    return (await connection.execute(_CANCEL, named)).first() is not None


async def any_recovery_due(connection: asyncpg.Connection) -> bool:
    """Whether any recovery may take its next step now."""
    return bool(await connection.fetchval(_ANY_DUE))


async def take_recovery(connection: AsyncConnection) -> Turn | None:
    """Lock the recovery whose turn it is until the transaction ends; None where there is none."""
    row = (await connection.execute(_TAKE)).mappings().first()
    return Turn(**row) if row else None


async def room_in(connection: AsyncConnection, turn: Turn, *, untried: int, open_: int) -> int:
    """How many more may wait, where at most `untried` may wait for their first attempt and `open_` for any."""
    room: int = (await connection.execute(_ROOM, {"id": turn.id, "untried": untried, "open": open_})).scalar_one()
    return room


async def failed_next(connection: AsyncConnection, turn: Turn, at_most: int) -> list[Ended]:
    """What has failed next, in the order of its planning."""
    asked = {
        "subscription_id": turn.subscription_id,
        "reached_at": turn.reached_at,
        "reached_id": turn.reached_id,
        "until": turn.until,
        "at_most": at_most,
    }
    return [ended_in(row) for row in (await connection.execute(_NEXT, asked)).mappings()]


async def advance(connection: AsyncConnection, turn: Turn, step: Step) -> None:
    """Write down what a step has done, in its own transaction."""
    done = {"recovered": step.recovered, "suppressed": step.suppressed, "left_out": step.left_out}
    await connection.execute(
        _ADVANCE,
        {
            "id": turn.id,
            "reached_at": step.reached and step.reached.created_at,
            "reached_id": step.reached and step.reached.id,
            **done,
            "state": step.state.value,
            "reason": step.reason,
            "pause": step.pause,
            "changed": step.reached is not None or step.state is not RecoveryState.RUNNING,
        },
    )


async def forget_recoveries(connection: AsyncConnection) -> None:
    """Forget those that ended longer ago than deliveries are kept."""
    await connection.execute(_FORGET)


def _row(mapping: RowMapping) -> RecoveryRow:
    return RecoveryRow(**{**mapping, "state": RecoveryState(mapping["state"])})

"""Sealing everything anew under another key: in chunks, each of which is a transaction, beside whoever is at work."""

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from .logs import get_logger
from .secrets import SecretBox, UnsealableError
from .unit_of_work import Database

_AT_ONCE = 200

_log = get_logger("sealing")


class NotAllSealedError(Exception):
    """Some values can be opened with none of the keys; they are as they were, all others are sealed anew."""


@dataclass(frozen=True)
class SealedColumn:
    """A column of sealed values; what is NULL is nothing."""

    table: str
    #: its primary key, and the type of that
    key: str
    key_type: str
    column: str


async def seal_anew(
    database: Database, box: SecretBox, columns: Sequence[SealedColumn], *, at_once: int = _AT_ONCE
) -> int:
    """Seal under the first key of `box` whatever is not; answers how many values. What is done needs no second time.

    Raises NotAllSealedError once the others are done.
    """
    done = lost = 0
    for column in columns:
        after: object = None
        while True:
            async with database.unit_of_work() as work:
                chunk = await _locked(work.connection, column, box, after, at_once)
                sealed = {key: anew for key, value in chunk if (anew := _sealed(box, column, key, value)) is not None}
                await _write(work.connection, column, sealed)
            done, lost = done + len(sealed), lost + len(chunk) - len(sealed)
            if len(chunk) < at_once:
                break
            after = chunk[-1][0]
    if lost:
        raise NotAllSealedError(f"{done} values sealed anew; {lost} can be opened with none of the keys, see the log.")
    return done


def _sealed(box: SecretBox, column: SealedColumn, key: object, value: bytes) -> bytes | None:
    try:
        return box.rotate(value)
    except UnsealableError as fault:
        _log.error("cannot be opened", table=column.table, column=column.column, key=str(key), reason=str(fault))
        return None


async def _locked(
    connection: AsyncConnection, column: SealedColumn, box: SecretBox, after: object, at_once: int
) -> list[tuple[object, bytes]]:
    """The next values that are sealed under another key, or under one that they do not name."""
    found = text(
        f"""
        SELECT {column.key} AS key, {column.column} AS sealed FROM {column.table}
        WHERE substring({column.column} FROM 1 FOR octet_length(CAST(:mark AS bytea))) <> CAST(:mark AS bytea)
          AND (CAST(:after AS {column.key_type}) IS NULL OR {column.key} > CAST(:after AS {column.key_type}))
        ORDER BY {column.key} LIMIT :at_once FOR NO KEY UPDATE
        """  # noqa: S608 -- names that stand in our code
    )
    rows = await connection.execute(found, {"mark": box.mark, "after": after, "at_once": at_once})
    return [(row.key, row.sealed) for row in rows]


async def _write(connection: AsyncConnection, column: SealedColumn, sealed: dict[object, bytes]) -> None:
    if not sealed:
        return
    written = text(
        f"""
        UPDATE {column.table} AS kept SET {column.column} = anew.sealed
        FROM unnest(CAST(:keys AS {column.key_type}[]), CAST(:sealed AS bytea[])) AS anew(key, sealed)
        WHERE kept.{column.key} = anew.key
        """  # noqa: S608 -- names that stand in our code
    )
    await connection.execute(written, {"keys": list(sealed), "sealed": list(sealed.values())})

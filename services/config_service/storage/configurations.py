"""Configurations: one row for each account that was ever configured."""

from uuid import UUID

from sqlalchemy import ColumnElement, Select, exists, func, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.config_service.domain import Configuration
from shared.kit.listing import page_of
from shared.kit.paging import Page, Part

from .tables import configurations

#: all of a configuration but its owner, who is known to whoever asks
_CONFIGURATION = [column for column in configurations.c if column.name != "client_id"]


async def configuration_of(connection: AsyncConnection, client_id: UUID, account_id: UUID) -> Configuration | None:
    """The configuration that the client's account has now."""
    wanted = _all_of(client_id).where(configurations.c.account_id == account_id)
    row = (await connection.execute(wanted)).mappings().one_or_none()
    return None if row is None else Configuration(**row)


async def configurations_of(
    connection: AsyncConnection, client_id: UUID, allocation_id: UUID | None, page: Page
) -> Part[Configuration]:
    """A page of the client's configurations, with one allocation or with any."""
    wanted = _all_of(client_id)
    if allocation_id is not None:
        wanted = wanted.where(configurations.c.allocation_id == allocation_id)
    rows = await page_of(connection, wanted, page, id_column="account_id")
    return rows.of(lambda row: Configuration(**row))


async def configure(
    connection: AsyncConnection, client_id: UUID, account_id: UUID, allocation_id: UUID
) -> Configuration | None:
    """Configure a locked account under its next version and revision; None if it is configured already."""
    moment = func.statement_timestamp()
    anew = {"allocation_id": allocation_id, "configured": True, "created_at": moment, "updated_at": moment}
    first = insert(configurations).values(account_id=account_id, client_id=client_id, version=1, revision=1, **anew)
    again = first.on_conflict_do_update(
        index_elements=[configurations.c.account_id],
        set_={
            **anew,
            "version": configurations.c.version + 1,
            "revision": configurations.c.revision + 1,
            "deleted_at": None,
        },
        where=configurations.c.configured.is_(False),
    )
    row = (await connection.execute(again.returning(*_CONFIGURATION))).mappings().one_or_none()
    return None if row is None else Configuration(**row)


async def change_configuration(connection: AsyncConnection, account_id: UUID, allocation_id: UUID) -> Configuration:
    """Give a locked account's configuration another allocation, under the same version and its next revision."""
    changed = (
        update(configurations)
        .where(configurations.c.account_id == account_id, configurations.c.configured)
        .values(
            allocation_id=allocation_id,
            revision=configurations.c.revision + 1,
            updated_at=func.statement_timestamp(),
        )
    )
    return Configuration(**(await connection.execute(changed.returning(*_CONFIGURATION))).mappings().one())


async def delete_configuration(
    connection: AsyncConnection, client_id: UUID, account_id: UUID, expected: int | None = None
) -> Configuration | None:
    """Delete a locked account's configuration, under its next revision; None if it has none at that revision."""
    moment = func.statement_timestamp()
    mine = [configurations.c.account_id == account_id, configurations.c.client_id == client_id]
    if expected is not None:
        mine.append(configurations.c.revision == expected)
    deleted = (
        update(configurations)
        .where(*mine, configurations.c.configured)
        .values(configured=False, revision=configurations.c.revision + 1, updated_at=moment, deleted_at=moment)
    )
    row = (await connection.execute(deleted.returning(*_CONFIGURATION))).mappings().one_or_none()
    return None if row is None else Configuration(**row)


async def is_configured(connection: AsyncConnection, account_id: UUID) -> bool:
    """Whether a locked account has a configuration."""
    return await _any(connection, configurations.c.account_id == account_id)


async def is_used(connection: AsyncConnection, allocation_id: UUID) -> bool:
    """Whether any account is configured with a locked allocation."""
    return await _any(connection, configurations.c.allocation_id == allocation_id)


async def _any(connection: AsyncConnection, condition: ColumnElement[bool]) -> bool:
    found = await connection.execute(select(exists().where(condition, configurations.c.configured)))
    return bool(found.scalar_one())


def _all_of(client_id: UUID) -> Select[tuple[object, ...]]:
    return select(*_CONFIGURATION).where(configurations.c.client_id == client_id, configurations.c.configured)

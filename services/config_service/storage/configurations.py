"""Configurations: one row for each account that was ever configured."""

from dataclasses import fields
from uuid import UUID

from sqlalchemy import BigInteger, Boolean, ColumnElement, DateTime, Select, exists, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.config_service.domain import Account, Configuration
from shared.kit.listing import page_of
from shared.kit.paging import Page, Part

from .tables import accounts, configurations

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


#: The account is locked before the allocation is held, as everywhere: the second is looked for only with the first.
#: The moment is that of both locks, and not the statement's: it is later than whatever they were waited for.
_CONFIGURE = text(
    """
    WITH account AS MATERIALIZED (
        SELECT * FROM accounts WHERE account_id = :account_id AND client_id = :client_id FOR NO KEY UPDATE),
    held AS MATERIALIZED (
        SELECT allocation_id FROM allocations
        WHERE allocation_id = :allocation_id AND client_id = :client_id AND deleted_at IS NULL
          AND EXISTS (SELECT FROM account)
        FOR SHARE),
    link AS MATERIALIZED (
        SELECT account.account_id, account.client_id, held.allocation_id, clock_timestamp() AS moment
        FROM account, held),
    made AS (
        INSERT INTO configurations AS known
            (account_id, client_id, allocation_id, configured, version, revision, created_at, updated_at)
        SELECT account_id, client_id, allocation_id, true, 1, 1, moment, moment FROM link
        ON CONFLICT (account_id) DO UPDATE
        SET allocation_id = excluded.allocation_id, configured = true, version = known.version + 1,
            revision = known.revision + 1, created_at = excluded.created_at, updated_at = excluded.updated_at,
            deleted_at = NULL
        WHERE NOT known.configured
        RETURNING version, revision, created_at)
    SELECT account.*, held.allocation_id IS NOT NULL AS allocation_known,
           made.version AS made_version, made.revision AS made_revision, made.created_at AS made_at
    FROM account LEFT JOIN held ON true LEFT JOIN made ON true
    """
    # By name: by position the types would fall on the wrong columns, since `account.*` begins with the client.
).columns(
    allocation_known=Boolean,
    made_version=BigInteger,
    made_revision=BigInteger,
    made_at=DateTime(timezone=True),
    **{each.name: each.type for each in accounts.c},
)


async def configure(
    connection: AsyncConnection, client_id: UUID, account_id: UUID, allocation_id: UUID
) -> tuple[Account | None, bool, Configuration | None]:
    """Lock the account, hold the allocation and configure the one with the other under its next version.

    One statement, for the account's status is the caller's to judge, who rolls it back. Answers the account, whether
    the client has the allocation, and the configuration: None without either of them, or if there is one already.
    """
    asked = {"client_id": client_id, "account_id": account_id, "allocation_id": allocation_id}
    row = (await connection.execute(_CONFIGURE, asked)).one_or_none()
    if row is None:
        return None, False, None
    account = Account(*(getattr(row, field.name) for field in fields(Account)))
    if row.made_version is None:
        return account, row.allocation_known, None
    made = Configuration(
        account_id=account_id,
        allocation_id=allocation_id,
        version=row.made_version,
        revision=row.made_revision,
        configured=True,
        created_at=row.made_at,
        updated_at=row.made_at,
        deleted_at=None,
    )
    return account, True, made


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

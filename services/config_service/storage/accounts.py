"""Accounts."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import RowMapping, Select, func, insert, select, tuple_, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.config_service.domain import Account, AccountFilter, ConfiguredAccount, NewAccount
from shared.contracts import new_id
from shared.kit.listing import page_of
from shared.kit.paging import Page, Part

from .tables import accounts, configurations

#: all of an account but its owner, who is known to whoever asks
_ACCOUNT = [column for column in accounts.c if column.name != "client_id"]


async def account_of(connection: AsyncConnection, client_id: UUID, account_id: UUID) -> Account | None:
    """The client's account with this id."""
    return await _one(connection, _of(client_id, account_id))


async def lock_account(connection: AsyncConnection, client_id: UUID, account_id: UUID) -> Account | None:
    """The account, locked: until the commit nobody else decides on it or announces anything under its key (P2)."""
    # FOR NO KEY UPDATE: a plain FOR UPDATE would also stop the foreign key check of its configuration.
    return await _one(connection, _of(client_id, account_id).with_for_update(key_share=True))


async def lock_accounts(connection: AsyncConnection, owned: Collection[tuple[UUID, UUID]]) -> None:
    """Lock the accounts of `owned` (pairs of client and account) that there are, in the order that everybody keeps."""
    theirs = tuple_(accounts.c.client_id, accounts.c.account_id).in_(owned)
    in_order = select(accounts.c.account_id).where(theirs).order_by(accounts.c.account_id)
    await connection.execute(in_order.with_for_update(key_share=True))


async def accounts_of(connection: AsyncConnection, client_id: UUID, wanted: AccountFilter, page: Page) -> Part[Account]:
    """A page of the client's accounts."""
    named = (accounts.c[field] == value for field, value in wanted.named.items())
    theirs = select(*_ACCOUNT).where(accounts.c.client_id == client_id, *named)
    rows = await page_of(connection, theirs, page, id_column="account_id")
    return rows.of(lambda row: Account(**row))


async def accounts_configured_with(
    connection: AsyncConnection, client_id: UUID, allocation_id: UUID, page: Page
) -> Part[ConfiguredAccount]:
    """A page of the client's accounts that are configured with an allocation."""
    # The configuration's columns wherever they order the list: its index does not know the account's.
    ordering = configurations.c.account_id, configurations.c.created_at.label("configured_at")
    shown = [column for column in _ACCOUNT if column.name != "account_id"]
    configured = (
        select(*ordering, configurations.c.version.label("configuration_version"), *shown)
        .join(configurations, configurations.c.account_id == accounts.c.account_id)
        .where(
            configurations.c.client_id == client_id,
            configurations.c.allocation_id == allocation_id,
            configurations.c.configured,
        )
    )
    rows = await page_of(connection, configured, page, id_column="account_id")
    return rows.of(_configured)


async def add_account(connection: AsyncConnection, client_id: UUID, new: NewAccount) -> Account:
    """Keep a new account."""
    moment = func.statement_timestamp()
    added = insert(accounts).values(
        **vars(new), account_id=new_id(), client_id=client_id, revision=1, created_at=moment, updated_at=moment
    )
    return Account(**(await connection.execute(added.returning(*_ACCOUNT))).mappings().one())


async def change_account(connection: AsyncConnection, account: Account) -> Account:
    """Give a locked account its new status, name and portfolio, under its next revision."""
    changed = (
        update(accounts)
        .where(accounts.c.account_id == account.account_id)
        .values(
            status=account.status,
            name=account.name,
            portfolio_id=account.portfolio_id,
            revision=accounts.c.revision + 1,
            updated_at=func.statement_timestamp(),
        )
    )
    return Account(**(await connection.execute(changed.returning(*_ACCOUNT))).mappings().one())


def _of(client_id: UUID, account_id: UUID) -> Select[tuple[object, ...]]:
    return select(*_ACCOUNT).where(accounts.c.account_id == account_id, accounts.c.client_id == client_id)


def _configured(row: RowMapping) -> ConfiguredAccount:
    columns = {**row}
    version, since = columns.pop("configuration_version"), columns.pop("configured_at")
    return ConfiguredAccount(Account(**columns), version, since)


async def _one(connection: AsyncConnection, wanted: Select[tuple[object, ...]]) -> Account | None:
    row = (await connection.execute(wanted)).mappings().one_or_none()
    return None if row is None else Account(**row)

"""What can be asked about accounts."""

from uuid import UUID

from services.config_service import storage
from services.config_service.domain import (
    Account,
    AccountChange,
    AccountFilter,
    AccountNotFound,
    NewAccount,
    PortfolioNotFound,
    changed,
)
from services.config_service.storage import Connection
from shared.contracts import AccountCreated, AccountUpdated
from shared.kit.cause import Cause
from shared.kit.paging import Page, Part
from shared.kit.refusals import FieldError, refuse_unless_current
from shared.kit.unit_of_work import UnitOfWork


async def open_account(work: UnitOfWork, cause: Cause, new: NewAccount) -> Account:
    """Open an account; raises PortfolioNotFound."""
    await _hold_portfolio(work, cause, new.portfolio_id)
    account = await storage.add_account(work.connection, cause.client_id, new)
    work.publish(AccountCreated(**vars(account)), cause=cause)
    return account


async def change_account(
    work: UnitOfWork, cause: Cause, account_id: UUID, change: AccountChange, expected: int | None = None
) -> Account:
    """Change an account's status, name or portfolio, and announce it unless all stays as it is.

    Raises AccountNotFound, PreconditionFailed, AccountClosed, AccountStillConfigured, PortfolioNotFound.
    """
    # Ledger portfolios are locked before accounts, as everywhere; what an unknown account names is refused below.
    named = change.portfolio_named
    held = named is None or await storage.hold_portfolio(work.connection, cause.client_id, named)
    before = await storage.lock_account(work.connection, cause.client_id, account_id)
    if before is None:
        raise AccountNotFound
    refuse_unless_current(expected, before.revision)
    if not held:
        raise _no_such_portfolio()
    configured = await storage.is_configured(work.connection, account_id)
    after = changed(before, change, configured=configured)
    if after == before:
        return before
    account = await storage.change_account(work.connection, after)
    work.publish(AccountUpdated(**vars(account)), cause=cause)
    return account


async def _hold_portfolio(work: UnitOfWork, cause: Cause, portfolio_id: UUID | None) -> None:
    if portfolio_id is not None and not await storage.hold_portfolio(work.connection, cause.client_id, portfolio_id):
        raise _no_such_portfolio()


def _no_such_portfolio() -> PortfolioNotFound:
    return PortfolioNotFound(errors=[FieldError("body.portfolio_id", "there is no such portfolio")])


async def read_account(connection: Connection, client_id: UUID, account_id: UUID) -> Account:
    """Give one account of the client; raises AccountNotFound."""
    account = await storage.account_of(connection, client_id, account_id)
    if account is None:
        raise AccountNotFound
    return account


async def list_accounts(connection: Connection, client_id: UUID, wanted: AccountFilter, page: Page) -> Part[Account]:
    """Give a page of the client's accounts."""
    return await storage.accounts_of(connection, client_id, wanted, page)

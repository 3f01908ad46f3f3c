"""What can be asked about accounts."""

from uuid import UUID

from services.config_service import storage
from services.config_service.domain import (
    UNCHANGED,
    Account,
    AccountChange,
    AccountNotFound,
    NewAccount,
    PortfolioNotFound,
    status_after,
)
from services.config_service.storage import Connection
from shared.contracts import AccountCreated, AccountUpdated
from shared.kit.cause import Cause
from shared.kit.paging import Page
from shared.kit.refusals import FieldError
from shared.kit.unit_of_work import UnitOfWork


async def open_account(work: UnitOfWork, cause: Cause, new: NewAccount) -> Account:
    """Open an account; raises PortfolioNotFound."""
    _refuse_portfolio(new.portfolio_id)
    account = await storage.add_account(work.connection, cause.client_id, new)
    work.publish(AccountCreated(**vars(account)), cause=cause)
    return account


async def change_account(work: UnitOfWork, cause: Cause, account_id: UUID, change: AccountChange) -> Account:
    """Change an account's status or name, and announce it unless all stays as it is.

    Raises AccountNotFound, AccountClosed, AccountStillConfigured, PortfolioNotFound.
    """
    before = await storage.lock_account(work.connection, cause.client_id, account_id)
    if before is None:
        raise AccountNotFound
    _refuse_portfolio(None if change.portfolio_id is UNCHANGED else change.portfolio_id)
    configured = await storage.is_configured(work.connection, account_id)
    status = status_after(before, change, configured=configured)
    name = before.name if change.name is UNCHANGED else change.name
    if (status, name) == (before.status, before.name):
        return before
    account = await storage.change_account(work.connection, account_id, status=status, name=name)
    work.publish(AccountUpdated(**vars(account)), cause=cause)
    return account


def _refuse_portfolio(portfolio_id: UUID | None) -> None:
    # The ledger has no portfolios yet, so whatever is named does not exist.
    if portfolio_id is not None:
        raise PortfolioNotFound(errors=[FieldError("body.portfolio_id", "there is no such portfolio")])


async def read_account(connection: Connection, client_id: UUID, account_id: UUID) -> Account:
    """Give one account of the client; raises AccountNotFound."""
    account = await storage.account_of(connection, client_id, account_id)
    if account is None:
        raise AccountNotFound
    return account


async def list_accounts(connection: Connection, client_id: UUID, page: Page) -> tuple[list[Account], int]:
    """Give a page of the client's accounts, and how many it has."""
    return await storage.accounts_of(connection, client_id, page)

"""What can be asked about configurations, the same over HTTP and by command."""

from collections.abc import Collection
from uuid import UUID

from services.config_service import storage
from services.config_service.domain import (
    AccountAlreadyConfigured,
    AllocationNotFound,
    Configuration,
    ConfigurationNotFound,
    Standing,
    check_configurable,
    refuse_unless_configurable,
)
from services.config_service.storage import Connection
from shared.contracts import ConfigurationChanged, ConfigurationCreated, ConfigurationDeleted
from shared.kit.cause import Cause
from shared.kit.paging import Page, Part
from shared.kit.refusals import refuse_unless_current
from shared.kit.unit_of_work import UnitOfWork


async def configure_account(work: UnitOfWork, cause: Cause, account_id: UUID, allocation_id: UUID) -> Configuration:
    """Configure an account under its next version.

    Raises AccountNotFound, AllocationNotFound, AccountNotForPortfolios, AccountNotActive, AccountAlreadyConfigured.
    """
    account, allocation_known, configuration = await storage.configure(
        work.connection, cause.client_id, account_id, allocation_id
    )
    # A refusal takes back what the statement has made, with the transaction or the command's savepoint.
    check_configurable(Standing(None, account) if account else None, allocation_known=allocation_known)
    if configuration is None:
        raise AccountAlreadyConfigured
    work.publish(ConfigurationCreated(**vars(configuration)), cause=cause)
    return configuration


async def change_configuration(
    work: UnitOfWork, cause: Cause, account_id: UUID, allocation_id: UUID, expected: int | None = None
) -> Configuration:
    """Give an account's configuration another allocation under the version that it has, and announce it if it is one.

    Nothing is traded, and no order is cancelled. Raises ConfigurationNotFound, PreconditionFailed, AllocationNotFound,
    AccountNotActive.
    """
    account = await storage.lock_account(work.connection, cause.client_id, account_id)
    before = await storage.configuration_of(work.connection, cause.client_id, account_id)
    if account is None or before is None:
        raise ConfigurationNotFound
    refuse_unless_current(expected, before.revision)
    if not await storage.hold_allocation(work.connection, cause.client_id, allocation_id):
        raise AllocationNotFound
    refuse_unless_configurable(account)
    if allocation_id == before.allocation_id:
        return before
    configuration = await storage.change_configuration(work.connection, account_id, allocation_id)
    work.publish(ConfigurationChanged(**vars(configuration)), cause=cause)
    return configuration


async def delete_configuration(work: UnitOfWork, cause: Cause, account_id: UUID, expected: int | None = None) -> None:
    """Delete an account's configuration; whoever takes its orders hears of it.

    Raises ConfigurationNotFound, PreconditionFailed.
    """
    await storage.lock_account(work.connection, cause.client_id, account_id)
    deleted = await storage.delete_configuration(work.connection, cause.client_id, account_id, expected)
    if deleted is None:
        # None at that revision: there is another, or none at all.
        refuse_unless_current(
            expected, (await read_configuration(work.connection, cause.client_id, account_id)).revision
        )
        raise ConfigurationNotFound
    work.publish(ConfigurationDeleted(**vars(deleted)), cause=cause)


async def read_configuration(connection: Connection, client_id: UUID, account_id: UUID) -> Configuration:
    """Give the configuration that the client's account has now; raises ConfigurationNotFound."""
    configuration = await storage.configuration_of(connection, client_id, account_id)
    if configuration is None:
        raise ConfigurationNotFound
    return configuration


async def list_configurations(
    connection: Connection, client_id: UUID, allocation_id: UUID | None, page: Page
) -> Part[Configuration]:
    """Give a page of the client's configurations, with one allocation or with any."""
    return await storage.configurations_of(connection, client_id, allocation_id, page)


async def hold_accounts(work: UnitOfWork, owned: Collection[tuple[UUID, UUID]]) -> None:
    """Lock the accounts that a batch of commands is about, all at once and in order, so that batches never deadlock.

    `owned` are pairs of client and account; what is not an account of that client is left alone.
    """
    if owned:
        await storage.lock_accounts(work.connection, owned)

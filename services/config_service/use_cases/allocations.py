"""What can be asked about allocations."""

from uuid import UUID

from services.config_service import storage
from services.config_service.domain import (
    Allocation,
    AllocationFilter,
    AllocationInUse,
    AllocationNotFound,
    ConfiguredAccount,
    NewAllocation,
    whole_allocation,
)
from services.config_service.storage import Connection
from shared.contracts import AllocationChanged, AllocationCreated, AllocationDeleted
from shared.kit.cause import Cause
from shared.kit.paging import Page, Part
from shared.kit.refusals import refuse_unless_current
from shared.kit.unit_of_work import UnitOfWork


async def make_allocation(work: UnitOfWork, cause: Cause, new: NewAllocation) -> Allocation:
    """Make an allocation; raises AllocationInvalid."""
    whole = NewAllocation(new.name, whole_allocation(new.allocation))
    allocation = await storage.add_allocation(work.connection, cause.client_id, whole)
    work.publish(AllocationCreated(**vars(allocation)), cause=cause)
    return allocation


async def replace_allocation(
    work: UnitOfWork, cause: Cause, allocation_id: UUID, new: NewAllocation, expected: int | None = None
) -> Allocation:
    """Give an allocation another name and list, and announce it unless both stay as they are; nothing is traded.

    Raises AllocationInvalid, AllocationNotFound, PreconditionFailed.
    """
    whole = NewAllocation(new.name, whole_allocation(new.allocation))
    before = await _locked(work, cause, allocation_id, expected)
    replaced = await storage.replace_allocation(work.connection, allocation_id, whole)
    if replaced is None:
        return before
    work.publish(AllocationChanged(**vars(replaced)), cause=cause)
    return replaced


async def delete_allocation(work: UnitOfWork, cause: Cause, allocation_id: UUID, expected: int | None = None) -> None:
    """Delete an allocation that no account is configured with.

    Raises AllocationNotFound, PreconditionFailed, AllocationInUse.
    """
    await _locked(work, cause, allocation_id, expected)
    if await storage.is_used(work.connection, allocation_id):
        raise AllocationInUse
    deleted = await storage.delete_allocation(work.connection, allocation_id)
    work.publish(AllocationDeleted(**vars(deleted)), cause=cause)


async def _locked(work: UnitOfWork, cause: Cause, allocation_id: UUID, expected: int | None) -> Allocation:
    allocation = await storage.lock_allocation(work.connection, cause.client_id, allocation_id)
    if allocation is None:
        raise AllocationNotFound
    refuse_unless_current(expected, allocation.revision)
    return allocation


async def read_allocation(connection: Connection, client_id: UUID, allocation_id: UUID) -> Allocation:
    """Give one allocation of the client; raises AllocationNotFound."""
    allocation = await storage.allocation_of(connection, client_id, allocation_id)
    if allocation is None:
        raise AllocationNotFound
    return allocation


async def list_allocations(
    connection: Connection, client_id: UUID, wanted: AllocationFilter, page: Page
) -> Part[Allocation]:
    """Give a page of the client's allocations."""
    return await storage.allocations_of(connection, client_id, wanted, page)


async def list_configured_accounts(
    connection: Connection, client_id: UUID, allocation_id: UUID, page: Page
) -> Part[ConfiguredAccount]:
    """Give a page of the accounts that are configured with the client's allocation; raises AllocationNotFound."""
    await read_allocation(connection, client_id, allocation_id)
    return await storage.accounts_configured_with(connection, client_id, allocation_id, page)

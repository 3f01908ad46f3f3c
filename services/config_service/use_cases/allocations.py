"""What can be asked about allocations."""

from uuid import UUID

from services.config_service import storage
from services.config_service.domain import (
    Allocation,
    AllocationInUse,
    AllocationNotFound,
    NewAllocation,
    whole_allocation,
)
from services.config_service.storage import Connection
from shared.contracts import AllocationCreated, AllocationDeleted
from shared.kit.cause import Cause
from shared.kit.paging import Page
from shared.kit.unit_of_work import UnitOfWork


async def make_allocation(work: UnitOfWork, cause: Cause, new: NewAllocation) -> Allocation:
    """Make an allocation; raises AllocationInvalid."""
    whole = NewAllocation(new.name, whole_allocation(new.allocation))
    allocation = await storage.add_allocation(work.connection, cause.client_id, whole)
    work.publish(AllocationCreated(**vars(allocation)), cause=cause)
    return allocation


async def delete_allocation(work: UnitOfWork, cause: Cause, allocation_id: UUID) -> None:
    """Delete an allocation that no account is configured with; raises AllocationNotFound, AllocationInUse."""
    if await storage.lock_allocation(work.connection, cause.client_id, allocation_id) is None:
        raise AllocationNotFound
    if await storage.is_used(work.connection, allocation_id):
        raise AllocationInUse
    deleted = await storage.delete_allocation(work.connection, allocation_id)
    work.publish(AllocationDeleted(**vars(deleted)), cause=cause)


async def read_allocation(connection: Connection, client_id: UUID, allocation_id: UUID) -> Allocation:
    """Give one allocation of the client; raises AllocationNotFound."""
    allocation = await storage.allocation_of(connection, client_id, allocation_id)
    if allocation is None:
        raise AllocationNotFound
    return allocation


async def list_allocations(connection: Connection, client_id: UUID, page: Page) -> tuple[list[Allocation], int]:
    """Give a page of the client's allocations, and how many it has."""
    return await storage.allocations_of(connection, client_id, page)

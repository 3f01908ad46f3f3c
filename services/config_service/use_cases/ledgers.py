"""What can be asked about organizations and their ledgers."""

from uuid import UUID

from services.config_service import storage
from services.config_service.domain import (
    Ledger,
    LedgerNameTaken,
    LedgerNotFound,
    LedgerRef,
    LedgerToMake,
    Organization,
    OrganizationNotFound,
    OrganizationToMake,
)
from services.config_service.storage import Connection
from shared.kit.cause import Cause
from shared.kit.paging import Page, Part
from shared.kit.unit_of_work import UnitOfWork


async def make_organization(work: UnitOfWork, cause: Cause, new: OrganizationToMake) -> Organization:
    """Make an organization."""
    return await storage.add_organization(work.connection, cause.client_id, new)


async def make_ledger(work: UnitOfWork, cause: Cause, organization_id: UUID, new: LedgerToMake) -> Ledger:
    """Make a ledger of an organization; raises OrganizationNotFound, LedgerNameTaken."""
    await read_organization(work.connection, cause.client_id, organization_id)
    ledger = await storage.add_ledger(work.connection, cause.client_id, organization_id, new)
    if ledger is None:
        raise LedgerNameTaken
    return ledger


async def read_organization(connection: Connection, client_id: UUID, organization_id: UUID) -> Organization:
    """Give one of the client's organizations; raises OrganizationNotFound."""
    organization = await storage.organization_of(connection, client_id, organization_id)
    if organization is None:
        raise OrganizationNotFound
    return organization


async def read_ledger(connection: Connection, ledger: LedgerRef) -> Ledger:
    """Give one ledger of an organization; raises LedgerNotFound."""
    found = await storage.ledger_of(connection, ledger)
    if found is None:
        raise LedgerNotFound
    return found


async def list_organizations(connection: Connection, client_id: UUID, page: Page) -> Part[Organization]:
    """Give a page of the client's organizations."""
    return await storage.organizations_of(connection, client_id, page)


async def list_ledgers(connection: Connection, client_id: UUID, organization_id: UUID, page: Page) -> Part[Ledger]:
    """Give a page of an organization's ledgers; raises OrganizationNotFound."""
    await read_organization(connection, client_id, organization_id)
    return await storage.ledgers_of(connection, client_id, organization_id, page)

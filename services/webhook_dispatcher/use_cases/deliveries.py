"""Deliveries as their client looks at them."""

from uuid import UUID

from services.webhook_dispatcher import storage
from services.webhook_dispatcher.storage import AttemptRow, Connection, DeliveryFilter, DeliveryRow, Standing
from shared.kit.paging import Page, Part
from shared.kit.refusals import NotFound
from shared.kit.unit_of_work import Database


class DeliveryNotFound(NotFound):
    """There is no such delivery."""


async def read_delivery(connection: Connection, client_id: UUID, delivery_id: UUID) -> DeliveryRow:
    """The client's delivery; raises DeliveryNotFound, also for another client's."""
    row = await storage.delivery_of(connection, client_id, delivery_id)
    if row is None:
        raise DeliveryNotFound
    return row


async def list_deliveries(
    connection: Connection, client_id: UUID, wanted: DeliveryFilter, page: Page
) -> Part[DeliveryRow]:
    """A page of the client's deliveries."""
    return await storage.deliveries_matching(connection, client_id, wanted, page)


async def list_deliveries_for_ops(
    connection: Connection, asking: UUID, client_id: UUID | None, wanted: DeliveryFilter, page: Page
) -> Part[DeliveryRow]:
    """A page of anybody's deliveries; of the client that is `asking`, where nothing says whose or about what."""
    if wanted.account_id is None and wanted.subscription_id is None:
        # No index serves the list of all: what is asked for here must not read the whole table.
        client_id = client_id or asking
    return await storage.deliveries_of_anybody(connection, client_id, wanted, page)


async def list_attempts(connection: Connection, client_id: UUID, delivery_id: UUID, page: Page) -> Part[AttemptRow]:
    """A page of the attempts of the client's delivery; raises DeliveryNotFound."""
    await read_delivery(connection, client_id, delivery_id)
    return await storage.attempts_of(connection, delivery_id, page)


async def standing_of_deliveries(database: Database) -> Standing:
    """How all deliveries stand, for whoever watches the dispatcher."""
    async with database.reading() as connection:
        return await storage.standing(connection)

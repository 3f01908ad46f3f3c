"""How things stand for a whole batch of commands: one statement however many there are."""

from collections.abc import Collection
from uuid import UUID

from sqlalchemy import ARRAY, ColumnElement, Uuid, any_, bindparam, case, literal, select
from sqlalchemy.ext.asyncio import AsyncConnection

from services.config_service.domain import Account, Standing

from .tables import accounts, allocations, configurations

#: a client, and something of which it says that it is its own
Owned = tuple[UUID, UUID]

_ACCOUNT = [column for column in accounts.c if column.name != "client_id"]
_CONFIGURED_WITH = case((configurations.c.configured, configurations.c.allocation_id), else_=literal(None))


async def standings_of(connection: AsyncConnection, owned: Collection[Owned]) -> dict[Owned, Standing]:
    """The accounts of `owned` that there are, each with the allocation that it is configured with, if it is."""
    wanted = (
        select(accounts.c.client_id, _CONFIGURED_WITH.label("configured_with"), *_ACCOUNT)
        .outerjoin(configurations, configurations.c.account_id == accounts.c.account_id)
        .where(_among(accounts.c.account_id, owned))
    )
    rows = [dict(row) for row in (await connection.execute(wanted)).mappings()]
    found = {(row.pop("client_id"), row["account_id"]): row for row in rows}
    return {each: Standing(row.pop("configured_with"), Account(**row)) for each, row in found.items() if each in owned}


async def known_allocations(connection: AsyncConnection, owned: Collection[Owned]) -> set[Owned]:
    """Those of `owned` that are allocations of their client."""
    wanted = select(allocations.c.client_id, allocations.c.allocation_id).where(
        _among(allocations.c.allocation_id, owned), allocations.c.deleted_at.is_(None)
    )
    return {(client_id, id_) for client_id, id_ in await connection.execute(wanted)} & set(owned)


def _among(column: ColumnElement[UUID], owned: Collection[Owned]) -> ColumnElement[bool]:
    # One array, and not as many parameters as there are ids: the statement stays the same for every batch.
    ids = list({id_ for _, id_ in owned})
    return column == any_(bindparam(None, ids, type_=ARRAY(Uuid)))

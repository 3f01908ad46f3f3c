"""Organizations and ledgers."""

from collections.abc import Collection
from dataclasses import astuple
from typing import Any
from uuid import UUID

from sqlalchemy import RowMapping, Select, func, select, tuple_
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.config_service.domain import Ledger, LedgerRef, LedgerToMake, Organization, OrganizationToMake
from shared.contracts import new_id
from shared.kit.paging import Page, Part

from .tables import ledgers, organizations

#: all of each but its owner, who is known to whoever asks
_ORGANIZATION = [column for column in organizations.c if column.name != "client_id"]
_LEDGER = [column for column in ledgers.c if column.name != "client_id"]


async def add_organization(connection: AsyncConnection, client_id: UUID, new: OrganizationToMake) -> Organization:
    """Keep a new organization."""
    moment = func.statement_timestamp()
    added = insert(organizations).values(
        organization_id=new_id(),
        client_id=client_id,
        legal_name=new.legal_name,
        legal_document=new.legal_document,
        created_at=moment,
        updated_at=moment,
    )
    return Organization(**(await connection.execute(added.returning(*_ORGANIZATION))).mappings().one())


async def organization_of(connection: AsyncConnection, client_id: UUID, organization_id: UUID) -> Organization | None:
    """The client's organization with this id."""
    wanted = select(*_ORGANIZATION).where(
        organizations.c.organization_id == organization_id,
        organizations.c.client_id == client_id,
    )
    row = (await connection.execute(wanted)).mappings().one_or_none()
    return None if row is None else Organization(**row)


async def organizations_of(connection: AsyncConnection, client_id: UUID, page: Page) -> Part[Organization]:
    """A page of the client's organizations."""
    theirs = select(*_ORGANIZATION).where(organizations.c.client_id == client_id)
    return (await uncounted(connection, theirs, page, id_column="organization_id")).of(lambda row: Organization(**row))


async def add_ledger(
    connection: AsyncConnection, client_id: UUID, organization_id: UUID, new: LedgerToMake
) -> Ledger | None:
    """Keep a new ledger of an organization that there is; None if that has one of this name."""
    moment = func.statement_timestamp()
    added = insert(ledgers).values(
        ledger_id=new_id(),
        client_id=client_id,
        organization_id=organization_id,
        name=new.name,
        created_at=moment,
        updated_at=moment,
    )
    unless_there = added.on_conflict_do_nothing(constraint="ledger_names_in_organization")
    row = (await connection.execute(unless_there.returning(*_LEDGER))).mappings().one_or_none()
    return None if row is None else Ledger(**row)


async def ledger_of(connection: AsyncConnection, ledger: LedgerRef) -> Ledger | None:
    """The ledger, if the client has it in this organization."""
    row = (await connection.execute(the_ledger(ledger))).mappings().one_or_none()
    return None if row is None else Ledger(**row)


async def known_ledgers(connection: AsyncConnection, wanted: Collection[LedgerRef]) -> set[LedgerRef]:
    """Those of `wanted` that there are."""
    place = ledgers.c.client_id, ledgers.c.organization_id, ledgers.c.ledger_id
    theirs = select(*place).where(tuple_(*place).in_([astuple(ledger) for ledger in wanted]))
    return {LedgerRef(*row) for row in await connection.execute(theirs)}


def the_ledger(ledger: LedgerRef) -> Select[tuple[object, ...]]:
    """One row if the client has this ledger in this organization, else none."""
    return select(*_LEDGER).where(
        ledgers.c.ledger_id == ledger.ledger_id,
        ledgers.c.organization_id == ledger.organization_id,
        ledgers.c.client_id == ledger.client_id,
    )


async def ledgers_of(connection: AsyncConnection, client_id: UUID, organization_id: UUID, page: Page) -> Part[Ledger]:
    """A page of the ledgers of one of the client's organizations."""
    theirs = select(*_LEDGER).where(
        ledgers.c.organization_id == organization_id,
        ledgers.c.client_id == client_id,
    )
    return (await uncounted(connection, theirs, page, id_column="ledger_id")).of(lambda row: Ledger(**row))


async def uncounted(connection: AsyncConnection, rows: Select[Any], page: Page, *, id_column: str) -> Part[RowMapping]:
    """The rows of a page by the time of their making; the ledger's envelope has no room for how many there are."""
    sort, row_id = rows.selected_columns["created_at"], rows.selected_columns[id_column]
    if page.after is not None:
        behind, position = tuple_(sort, row_id), (page.after.value, page.after.row_id)
        rows = rows.where(behind < position if page.order == "desc" else behind > position)
    ordered = [column.desc() if page.order == "desc" else column.asc() for column in (sort, row_id)]
    # One more than is shown tells whether another page follows.
    limited = rows.order_by(*ordered).limit(page.limit + 1).offset(page.offset or None)
    found = (await connection.execute(limited)).mappings().all()
    shown = found[: page.limit]
    follows = len(found) > page.limit
    cursor = page.cursor_behind(shown[-1]["created_at"], shown[-1][id_column]) if follows else None
    return Part(shown, None, cursor)

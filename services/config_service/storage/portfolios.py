"""Ledger portfolios."""

import json
from collections.abc import Collection, Iterator
from dataclasses import astuple
from typing import Any
from uuid import UUID

import orjson
from sqlalchemy import (
    ColumnElement,
    RowMapping,
    Select,
    Text,
    Uuid,
    cast,
    exists,
    func,
    literal,
    or_,
    select,
    tuple_,
    update,
)
from sqlalchemy.dialects.postgresql import JSONB, insert
from sqlalchemy.ext.asyncio import AsyncConnection

from services.config_service.domain import LedgerRef, Portfolio, PortfolioFields, PortfolioFilter, readings_of
from shared.kit.paging import Page, Part

from .ledgers import the_ledger, uncounted
from .tables import accounts, portfolios

#: All of a portfolio but its owner, who is known to whoever asks. The metadata as text: read by the driver's own JSON
#: a large double would become an integer of hundreds of digits.
_PORTFOLIO = [
    cast(column, Text).label("metadata") if column.name == "metadata" else column
    for column in portfolios.c
    if column.name != "client_id"
]


async def add_portfolio(
    connection: AsyncConnection, ledger: LedgerRef, portfolio_id: UUID, fields: PortfolioFields
) -> Portfolio | None:
    """Keep a new portfolio; None if the client has no such ledger or a portfolio has, or had, this id."""
    moment = func.statement_timestamp()
    values: dict[str, ColumnElement[Any]] = {
        "portfolio_id": literal(portfolio_id, Uuid),
        "client_id": literal(ledger.client_id, Uuid),
        "organization_id": literal(ledger.organization_id, Uuid),
        "ledger_id": literal(ledger.ledger_id, Uuid),
        **_columns(fields),
        "revision": literal(1),
        "created_at": moment,
        "updated_at": moment,
    }
    row = select(*values.values()).where(exists(the_ledger(ledger)))
    added = insert(portfolios).from_select(list(values), row).on_conflict_do_nothing()
    return await _one(connection, added.returning(*_PORTFOLIO))


async def portfolio_of(connection: AsyncConnection, ledger: LedgerRef, portfolio_id: UUID) -> Portfolio | None:
    """The portfolio with this id in the client's ledger."""
    return await _one(connection, _of(ledger, portfolio_id))


async def lock_portfolio(connection: AsyncConnection, ledger: LedgerRef, portfolio_id: UUID) -> Portfolio | None:
    """The portfolio, locked: nobody else changes it, or makes an account name it, before the commit (P2)."""
    return await _one(connection, _of(ledger, portfolio_id).with_for_update(key_share=True))


async def lock_portfolios(connection: AsyncConnection, owned: Collection[tuple[UUID, UUID]]) -> None:
    """Lock the portfolios of `owned` (pairs of client and portfolio) that there are, in the order everybody keeps."""
    theirs = tuple_(portfolios.c.client_id, portfolios.c.portfolio_id).in_(owned)
    in_order = select(portfolios.c.portfolio_id).where(theirs).order_by(portfolios.c.portfolio_id)
    await connection.execute(in_order.with_for_update(key_share=True))


async def known_portfolios(
    connection: AsyncConnection, wanted: Collection[tuple[LedgerRef, UUID]]
) -> set[tuple[LedgerRef, UUID]]:
    """Those of `wanted`, pairs of ledger and portfolio, that there are."""
    place = portfolios.c.client_id, portfolios.c.organization_id, portfolios.c.ledger_id, portfolios.c.portfolio_id
    theirs = tuple_(*place).in_([(*astuple(ledger), portfolio_id) for ledger, portfolio_id in wanted])
    found = await connection.execute(select(*place).where(theirs, portfolios.c.deleted_at.is_(None)))
    return {(LedgerRef(*ledger), portfolio_id) for *ledger, portfolio_id in found}


async def named_portfolios(connection: AsyncConnection, wanted: Collection[UUID]) -> set[UUID]:
    """Those of `wanted`, which are locked, that any account names."""
    is_named_one = exists().where(accounts.c.portfolio_id == portfolios.c.portfolio_id)
    named = select(portfolios.c.portfolio_id).where(portfolios.c.portfolio_id.in_(wanted), is_named_one)
    return set((await connection.execute(named)).scalars())


async def taken_ids(connection: AsyncConnection, ids: Collection[UUID]) -> set[UUID]:
    """Those of `ids` that a portfolio has or had, whosever it is."""
    taken = select(portfolios.c.portfolio_id).where(portfolios.c.portfolio_id.in_(ids))
    return set((await connection.execute(taken)).scalars())


async def hold_portfolio(connection: AsyncConnection, client_id: UUID, portfolio_id: UUID) -> bool:
    """Whether the client has this portfolio; if so, it cannot be deleted before the commit.

    To be called before any account is locked: ledger portfolios come first in the order of locking.
    """
    # FOR SHARE, which a deletion waits for: to it a deletion is a change of the row like any other.
    held = select(portfolios.c.portfolio_id).where(
        portfolios.c.portfolio_id == portfolio_id,
        portfolios.c.client_id == client_id,
        portfolios.c.deleted_at.is_(None),
    )
    return (await connection.execute(held.with_for_update(read=True))).one_or_none() is not None


async def portfolios_of(
    connection: AsyncConnection, ledger: LedgerRef, wanted: PortfolioFilter, page: Page
) -> Part[Portfolio]:
    """A page of a ledger's portfolios, as an index over ledger, filter and time finds them."""
    theirs = _all_in(ledger).where(*_conditions(ledger, wanted))
    return (await uncounted(connection, theirs, page, id_column="portfolio_id")).of(_portfolio)


async def count_portfolios(connection: AsyncConnection, ledger: LedgerRef) -> int:
    """How many portfolios the ledger has."""
    counted = select(func.count()).select_from(_all_in(ledger).with_only_columns(portfolios.c.portfolio_id).subquery())
    total: int = (await connection.execute(counted)).scalar_one()
    return total


async def change_portfolio(connection: AsyncConnection, portfolio_id: UUID, fields: PortfolioFields) -> Portfolio:
    """Give a locked portfolio its new fields, under its next revision."""
    return await _next_revision(connection, portfolio_id, _columns(fields))


async def delete_portfolio(connection: AsyncConnection, portfolio_id: UUID) -> Portfolio:
    """Mark a locked portfolio as deleted, under its next revision."""
    return await _next_revision(connection, portfolio_id, {"deleted_at": func.statement_timestamp()})


async def is_named(connection: AsyncConnection, portfolio_id: UUID) -> bool:
    """Whether any account names a locked portfolio."""
    return bool(
        (await connection.execute(select(exists().where(accounts.c.portfolio_id == portfolio_id)))).scalar_one()
    )


async def _next_revision(
    connection: AsyncConnection, portfolio_id: UUID, values: dict[str, ColumnElement[Any]]
) -> Portfolio:
    changed = (
        update(portfolios)
        .where(portfolios.c.portfolio_id == portfolio_id)
        .values(**values, revision=portfolios.c.revision + 1, updated_at=func.statement_timestamp())
    )
    return _portfolio((await connection.execute(changed.returning(*_PORTFOLIO))).mappings().one())


def _columns(fields: PortfolioFields) -> dict[str, ColumnElement[Any]]:
    texts = {name: literal(value, Text) for name, value in vars(fields).items() if name != "metadata"}
    return {**texts, "metadata": _json(dict(fields.metadata))}


def _json(value: object) -> ColumnElement[Any]:
    return cast(literal(json.dumps(value, ensure_ascii=False), Text), JSONB)


def _conditions(ledger: LedgerRef, wanted: PortfolioFilter) -> Iterator[ColumnElement[bool]]:
    if wanted.since is not None:
        yield portfolios.c.created_at >= wanted.since
    if wanted.before is not None:
        yield portfolios.c.created_at < wanted.before
    if wanted.entity_id is not None:
        yield portfolios.c.entity_id == wanted.entity_id
    if wanted.status_code is not None:
        yield portfolios.c.status_code == wanted.status_code
    inside = func.metadata_in_ledger(portfolios.c.ledger_id, portfolios.c.metadata, type_=JSONB)
    for key, value in wanted.metadata:
        yield or_(*(inside.contains(_json({str(ledger.ledger_id): each})) for each in readings_of(key, value)))


def _all_in(ledger: LedgerRef) -> Select[tuple[object, ...]]:
    return select(*_PORTFOLIO).where(
        portfolios.c.ledger_id == ledger.ledger_id,
        portfolios.c.organization_id == ledger.organization_id,
        portfolios.c.client_id == ledger.client_id,
        portfolios.c.deleted_at.is_(None),
    )


def _of(ledger: LedgerRef, portfolio_id: UUID) -> Select[tuple[object, ...]]:
    return _all_in(ledger).where(portfolios.c.portfolio_id == portfolio_id)


async def _one(connection: AsyncConnection, statement: Any) -> Portfolio | None:  # noqa: ANN401 - whatever gives rows
    row = (await connection.execute(statement)).mappings().one_or_none()
    return None if row is None else _portfolio(row)


def _portfolio(row: RowMapping) -> Portfolio:
    return Portfolio(**{**row, "metadata": orjson.loads(row["metadata"])})

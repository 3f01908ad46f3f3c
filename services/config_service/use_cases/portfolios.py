"""What can be asked about ledger portfolios, the same over HTTP and by command.

Whoever writes an event of a portfolio locks its row first; a new row is a lock of its own (P2). Merge patches are
applied to what the lock has shown, so that two at once never lose each other's halves.
"""

from collections.abc import Collection, Sequence
from uuid import UUID

from services.config_service import storage
from services.config_service.domain import (
    LedgerNotFound,
    LedgerPortfolioNotFound,
    LedgerRef,
    LedgerRequestInvalid,
    Portfolio,
    PortfolioFilter,
    PortfolioIdTaken,
    PortfolioInUse,
    PortfolioPatch,
    PortfolioToMake,
    fields_after,
    fields_of,
    patch_asked_for,
    portfolio_asked_for,
)
from services.config_service.storage import Connection
from shared.contracts import (
    CreatePortfolio,
    DeletePortfolio,
    PortfolioCommand,
    PortfolioCreated,
    PortfolioDeleted,
    PortfolioUpdated,
    UpdatePortfolio,
)
from shared.kit.cause import Cause
from shared.kit.paging import Page, Part
from shared.kit.refusals import Refused, refuse_unless_current
from shared.kit.unit_of_work import UnitOfWork

from .ledgers import read_ledger


async def create_portfolio(
    work: UnitOfWork, cause: Cause, ledger: LedgerRef, portfolio_id: UUID, new: PortfolioToMake
) -> Portfolio:
    """Make a portfolio under an id that nothing bears.

    Raises LedgerNotFound, PortfolioIdTaken, LedgerRequestInvalid.
    """
    portfolio = await storage.add_portfolio(work.connection, ledger, portfolio_id, fields_of(new))
    if portfolio is None:
        await read_ledger(work.connection, ledger)
        raise PortfolioIdTaken
    work.publish(PortfolioCreated(**portfolio.state), cause=cause)
    return portfolio


async def update_portfolio(
    work: UnitOfWork,
    cause: Cause,
    ledger: LedgerRef,
    portfolio_id: UUID,
    patch: PortfolioPatch,
    *,
    expected: int | None = None,
) -> Portfolio:
    """Apply a merge patch to a portfolio; an empty one changes nothing but the time of its last change.

    `expected` is the revision that the caller has in mind, None for any. Raises LedgerPortfolioNotFound,
    PreconditionFailed, LedgerRequestInvalid.
    """
    before = await storage.lock_portfolio(work.connection, ledger, portfolio_id)
    if before is None:
        raise LedgerPortfolioNotFound
    refuse_unless_current(expected, before.revision)
    portfolio = await storage.change_portfolio(work.connection, portfolio_id, fields_after(before, patch))
    work.publish(PortfolioUpdated(**portfolio.state), cause=cause)
    return portfolio


async def delete_portfolio(
    work: UnitOfWork, cause: Cause, ledger: LedgerRef, portfolio_id: UUID, *, expected: int | None = None
) -> None:
    """Delete a portfolio that no account names; raises LedgerPortfolioNotFound, PreconditionFailed, PortfolioInUse."""
    before = await storage.lock_portfolio(work.connection, ledger, portfolio_id)
    if before is None:
        raise LedgerPortfolioNotFound
    refuse_unless_current(expected, before.revision)
    if await storage.is_named(work.connection, portfolio_id):
        raise PortfolioInUse
    deleted = await storage.delete_portfolio(work.connection, portfolio_id)
    work.publish(PortfolioDeleted(**deleted.state), cause=cause)


async def read_portfolio(connection: Connection, ledger: LedgerRef, portfolio_id: UUID) -> Portfolio:
    """Give one portfolio of a ledger; raises LedgerPortfolioNotFound."""
    portfolio = await storage.portfolio_of(connection, ledger, portfolio_id)
    if portfolio is None:
        raise LedgerPortfolioNotFound
    return portfolio


async def list_portfolios(
    connection: Connection, ledger: LedgerRef, wanted: PortfolioFilter, page: Page
) -> Part[Portfolio]:
    """Give a page of a ledger's portfolios; raises LedgerNotFound."""
    await read_ledger(connection, ledger)
    return await storage.portfolios_of(connection, ledger, wanted, page)


async def count_portfolios(connection: Connection, ledger: LedgerRef) -> int:
    """Say how many portfolios a ledger has; raises LedgerNotFound."""
    await read_ledger(connection, ledger)
    return await storage.count_portfolios(connection, ledger)


async def hold_portfolios(work: UnitOfWork, owned: Collection[tuple[UUID, UUID]]) -> None:
    """Lock the portfolios that a batch of commands is about, all at once and in order, so that batches never deadlock.

    `owned` are pairs of client and portfolio; what is not a portfolio of that client is left alone.
    """
    if owned:
        await storage.lock_portfolios(work.connection, owned)


async def foresee_portfolio_refusals(
    work: UnitOfWork, asked: Sequence[tuple[LedgerRef, PortfolioCommand]]
) -> list[Refused | None]:
    """The refusal that each of `asked` meets if nothing is done to its portfolio before; None where none is certain.

    Four statements at most for a whole batch, whose portfolios are locked.
    """
    new = [(ledger, command) for ledger, command in asked if isinstance(command, CreatePortfolio)]
    old = [(ledger, command.portfolio_id) for ledger, command in asked if not isinstance(command, CreatePortfolio)]
    known = await storage.known_portfolios(work.connection, old) if old else set()
    ledgers = await storage.known_ledgers(work.connection, {ledger for ledger, _ in new}) if new else set()
    taken = await storage.taken_ids(work.connection, {command.portfolio_id for _, command in new}) if new else set()
    doomed = {command.portfolio_id for _, command in asked if isinstance(command, DeletePortfolio)}
    named = await storage.named_portfolios(work.connection, doomed) if doomed else set()

    def foreseen(ledger: LedgerRef, command: PortfolioCommand) -> Refused | None:
        if isinstance(command, CreatePortfolio):
            return _refusal_of_new(command, is_known=ledger in ledgers, is_taken=command.portfolio_id in taken)
        is_known, is_named = (ledger, command.portfolio_id) in known, command.portfolio_id in named
        return _refusal_of_old(command, is_known=is_known, is_named=is_named)

    return [foreseen(ledger, command) for ledger, command in asked]


def _refusal_of_new(command: CreatePortfolio, *, is_known: bool, is_taken: bool) -> Refused | None:
    try:
        fields_of(portfolio_asked_for(command))
    except LedgerRequestInvalid as invalid:
        return invalid
    if not is_known:
        return LedgerNotFound()
    return PortfolioIdTaken() if is_taken else None


def _refusal_of_old(command: PortfolioCommand, *, is_known: bool, is_named: bool) -> Refused | None:
    try:
        if isinstance(command, UpdatePortfolio):
            patch_asked_for(command)
    except LedgerRequestInvalid as invalid:
        return invalid
    if not is_known:
        return LedgerPortfolioNotFound()
    return PortfolioInUse() if is_named else None

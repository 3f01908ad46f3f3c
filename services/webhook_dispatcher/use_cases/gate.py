"""The gate: the copies that it is decided on, and what their changes stop."""

from collections.abc import Sequence
from functools import partial
from uuid import UUID

from services.webhook_dispatcher import storage
from services.webhook_dispatcher.domain import DeliveryState, Reason, Stopped, told_to_nobody
from services.webhook_dispatcher.storage import AccountCopy, ConfigurationCopy
from shared.contracts import CONFIGURATIONS_EVENTS, ClientState
from shared.kit.received import LostKey, Origin, Received
from shared.kit.unit_of_work import UnitOfWork

from .clients import switch_off_revoked


def once_committed(work: UnitOfWork, stopped: Stopped) -> Stopped:
    """Tell `stopped` when the transaction is committed: a batch that is taken again stops the same once more."""

    def note(reason: Reason, deliveries: int) -> None:
        work.once_committed(partial(stopped, reason, deliveries))

    return note


async def apply_states(
    work: UnitOfWork,
    *,
    configurations: Sequence[ConfigurationCopy] = (),
    accounts: Sequence[AccountCopy] = (),
    clients: Sequence[Received[ClientState]] = (),
    stopped: Stopped = told_to_nobody,
) -> None:
    """Apply what is newer, then stop what belongs to versions that it deletes and to clients that it revokes.

    The rows of configurations and clients come first: whoever plans on them holds their locks, so that nothing planned
    is overlooked. Subscriptions come before deliveries, as everywhere.
    """
    deletions = await storage.apply_configurations(work.connection, configurations) if configurations else []
    if accounts:
        await storage.apply_accounts(work.connection, accounts)
    ended = await switch_off_revoked(work, clients) if clients else []
    await storage.close_gate(work.connection, deletions, once_committed(work, stopped))
    if ended:
        await storage.end_deliveries_of(work.connection, ended, DeliveryState.DISCARDED, Reason.CLIENT_REVOKED)


async def shut_gates(work: UnitOfWork, lost: Sequence[LostKey]) -> None:
    """Trust the copies of accounts whose configuration could not be read no longer; other keys mean nothing here."""
    # Of an account only its owner is copied, and that never changes: a lost record of it leaves no doubt.
    shut = {
        account: _place(key.origin)
        for key in lost
        if key.origin.topic == CONFIGURATIONS_EVENTS.name and (account := _account_in(key))
    }
    if shut:
        await storage.quarantine(work.connection, shut)


async def reopen_gates(work: UnitOfWork, redriven: Sequence[tuple[UUID, Origin]]) -> None:
    """Trust the copies again of which the lost record has come back and says nothing new."""
    if redriven:
        await storage.lift_quarantine(work.connection, {account: _place(origin) for account, origin in redriven})


def _place(origin: Origin) -> str:
    return f"{origin.partition}/{origin.offset}"


def _account_in(key: str) -> UUID | None:
    try:
        return UUID(key)
    except ValueError:
        return None

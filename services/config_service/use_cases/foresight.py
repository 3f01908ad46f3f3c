"""What a batch of commands on configurations will be refused for, in two statements, before any of them is begun.

The same rules decide as when a command is carried out; what they are asked about is read for all commands at once. The
accounts are locked, so what is foreseen stays true until something is done to the account.
"""

from collections.abc import Callable, Sequence
from functools import partial
from uuid import UUID

from services.config_service import storage
from services.config_service.domain import (
    Standing,
    check_changeable,
    check_configurable,
    check_deletable,
)
from shared.contracts import ChangeConfiguration, Command, CreateConfiguration, DeleteConfiguration
from shared.kit.refusals import Refused
from shared.kit.unit_of_work import UnitOfWork

Owned = tuple[UUID, UUID]


OnConfigurations = CreateConfiguration | ChangeConfiguration | DeleteConfiguration
WithATarget = CreateConfiguration | ChangeConfiguration

#: a command and the client that sent it
Asked = tuple[UUID, Command]


async def foresee_refusals(work: UnitOfWork, asked: Sequence[Asked]) -> list[Refused | None]:
    """The refusal that each of `asked` will meet if nothing is done to its account before; None where none is certain.

    The accounts that they are about are locked.
    """
    about = {(client_id, command.account_id) for client_id, command in asked if isinstance(command, OnConfigurations)}
    targets = {(client_id, command.allocation_id) for client_id, command in asked if isinstance(command, WithATarget)}
    standings = await storage.standings_of(work.connection, about) if about else {}
    known = await storage.known_allocations(work.connection, targets) if targets else set()
    return [_refusal(_check_of(client_id, command, standings, known)) for client_id, command in asked]


def _check_of(
    client_id: UUID, command: Command, standings: dict[Owned, Standing], known: set[Owned]
) -> Callable[[], object]:
    if not isinstance(command, OnConfigurations):
        return _nothing_is_certain
    standing = standings.get((client_id, command.account_id))
    if isinstance(command, DeleteConfiguration):
        return partial(check_deletable, standing)
    check = check_configurable if isinstance(command, CreateConfiguration) else check_changeable
    return partial(check, standing, allocation_known=(client_id, command.allocation_id) in known)


def _nothing_is_certain() -> None:
    """For commands that are decided in their turn."""


def _refusal(check: Callable[[], object]) -> Refused | None:
    try:
        check()
    except Refused as refusal:
        return refusal
    return None

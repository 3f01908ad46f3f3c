"""Kafka in: commands on configurations, with the rules and the result of the same requests over HTTP."""

from collections.abc import Sequence
from typing import Any

from shared.contracts import CONFIGURATIONS_COMMANDS, CreateConfiguration, DeleteConfiguration, format_time
from shared.kit.received import Received
from shared.kit.subscriber import Subscriber
from shared.kit.unit_of_work import UnitOfWork

from . import use_cases
from .domain import Configuration

COMMANDS_GROUP = "config_service.commands"


def commands_subscriber() -> Subscriber:
    """The group that does what upstream asks for with a command."""
    subscriber = Subscriber(COMMANDS_GROUP, [CONFIGURATIONS_COMMANDS], locks=_hold_accounts)

    @subscriber.on_command(CreateConfiguration)
    async def on_create_configuration(work: UnitOfWork, received: Received[CreateConfiguration]) -> dict[str, Any]:
        asked = received.body
        configuration = await use_cases.configure_account(work, received.cause, asked.account_id, asked.allocation_id)
        return _as_the_api_shows(configuration)

    @subscriber.on_command(DeleteConfiguration)
    async def on_delete_configuration(work: UnitOfWork, received: Received[DeleteConfiguration]) -> None:
        await use_cases.delete_configuration(work, received.cause, received.body.account_id)

    return subscriber


async def _hold_accounts(
    work: UnitOfWork, batch: Sequence[Received[CreateConfiguration | DeleteConfiguration]]
) -> None:
    owned = {(received.cause.client_id, received.body.account_id) for received in batch}
    await use_cases.hold_accounts(work, owned)


def _as_the_api_shows(configuration: Configuration) -> dict[str, Any]:
    return {
        "account_id": str(configuration.account_id),
        "allocation_id": str(configuration.allocation_id),
        "version": configuration.version,
        "created_at": format_time(configuration.created_at),
        "updated_at": format_time(configuration.updated_at),
    }

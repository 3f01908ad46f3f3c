"""Kafka in: commands on configurations and portfolios, with the rules and the result of the requests over HTTP."""

from collections.abc import Sequence
from typing import Any
from uuid import UUID

from shared.contracts import (
    CONFIGURATIONS_COMMANDS,
    PORTFOLIOS_COMMANDS,
    ChangeConfiguration,
    CreateConfiguration,
    CreatePortfolio,
    DeleteConfiguration,
    DeletePortfolio,
    PortfolioCommand,
    UpdatePortfolio,
    format_time,
)
from shared.kit.received import Received
from shared.kit.refusals import Refused
from shared.kit.subscriber import Subscriber
from shared.kit.unit_of_work import UnitOfWork

from . import use_cases
from .domain import Configuration, LedgerRef, Portfolio, PortfolioResource, patch_asked_for, portfolio_asked_for

COMMANDS_GROUP = "config_service.commands"


def commands_subscriber() -> Subscriber:
    """The group that does what upstream asks for with a command."""
    topics = [CONFIGURATIONS_COMMANDS, PORTFOLIOS_COMMANDS]
    subscriber = Subscriber(COMMANDS_GROUP, topics, locks=_hold, foresees=_foresee)
    _take_configuration_commands(subscriber)
    _take_portfolio_commands(subscriber)
    return subscriber


def _take_configuration_commands(subscriber: Subscriber) -> None:
    @subscriber.on_command(CreateConfiguration)
    async def on_create_configuration(work: UnitOfWork, received: Received[CreateConfiguration]) -> dict[str, Any]:
        asked = received.body
        configuration = await use_cases.configure_account(work, received.cause, asked.account_id, asked.allocation_id)
        return _as_the_api_shows(configuration)

    @subscriber.on_command(ChangeConfiguration)
    async def on_change_configuration(work: UnitOfWork, received: Received[ChangeConfiguration]) -> dict[str, Any]:
        asked = received.body
        configuration = await use_cases.change_configuration(
            work, received.cause, asked.account_id, asked.allocation_id
        )
        return _as_the_api_shows(configuration)

    @subscriber.on_command(DeleteConfiguration)
    async def on_delete_configuration(work: UnitOfWork, received: Received[DeleteConfiguration]) -> None:
        await use_cases.delete_configuration(work, received.cause, received.body.account_id)


def _take_portfolio_commands(subscriber: Subscriber) -> None:
    @subscriber.on_command(CreatePortfolio)
    async def on_create_portfolio(work: UnitOfWork, received: Received[CreatePortfolio]) -> dict[str, Any]:
        asked = received.body
        portfolio = await use_cases.create_portfolio(
            work, received.cause, _ledger_of(received), asked.portfolio_id, portfolio_asked_for(asked)
        )
        return _as_the_ledger_shows(portfolio)

    @subscriber.on_command(UpdatePortfolio)
    async def on_update_portfolio(work: UnitOfWork, received: Received[UpdatePortfolio]) -> dict[str, Any]:
        asked = received.body
        portfolio = await use_cases.update_portfolio(
            work, received.cause, _ledger_of(received), asked.portfolio_id, patch_asked_for(asked)
        )
        return _as_the_ledger_shows(portfolio)

    @subscriber.on_command(DeletePortfolio)
    async def on_delete_portfolio(work: UnitOfWork, received: Received[DeletePortfolio]) -> None:
        await use_cases.delete_portfolio(work, received.cause, _ledger_of(received), received.body.portfolio_id)


def _ledger_of(received: Received[PortfolioCommand]) -> LedgerRef:
    return LedgerRef(received.cause.client_id, received.body.organization_id, received.body.ledger_id)


async def _hold(work: UnitOfWork, batch: Sequence[Received[Any]]) -> None:
    # Ledger portfolios come first in the order of locking.
    portfolios: set[tuple[UUID, UUID]] = set()
    accounts: set[tuple[UUID, UUID]] = set()
    for received in batch:
        owned = portfolios if isinstance(received.body, PortfolioCommand) else accounts
        owned.add((received.cause.client_id, UUID(received.body.key)))
    await use_cases.hold_portfolios(work, portfolios)
    await use_cases.hold_accounts(work, accounts)


async def _foresee(work: UnitOfWork, batch: Sequence[Received[Any]]) -> Sequence[Refused | None]:
    on_portfolios = [each for each in batch if isinstance(each.body, PortfolioCommand)]
    asked = [(_ledger_of(each), each.body) for each in on_portfolios]
    refusals = iter(await use_cases.foresee_portfolio_refusals(work, asked))
    others = await use_cases.foresee_refusals(work, [(each.cause.client_id, each.body) for each in batch])
    return [
        next(refusals) if isinstance(each.body, PortfolioCommand) else refusal
        for each, refusal in zip(batch, others, strict=True)
    ]


def _as_the_api_shows(configuration: Configuration) -> dict[str, Any]:
    return {
        "account_id": str(configuration.account_id),
        "allocation_id": str(configuration.allocation_id),
        "version": configuration.version,
        "created_at": format_time(configuration.created_at),
        "updated_at": format_time(configuration.updated_at),
    }


def _as_the_ledger_shows(portfolio: Portfolio) -> dict[str, Any]:
    return PortfolioResource.of(portfolio).model_dump(mode="json")

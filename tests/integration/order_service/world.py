"""What the tests say and look at: messages as they come from Kafka, rows as they stand in the database."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from decimal import Decimal
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import orjson
from aiokafka import ConsumerRecord
from sqlalchemy import text

from services.order_service import use_cases
from services.order_service.domain import Execution, Order, Targets, WantedOrder
from shared.contracts import (
    AccountCreated,
    AccountState,
    AccountStatus,
    AccountType,
    ConfigurationCreated,
    ConfigurationDeleted,
    ConfigurationState,
    Envelope,
    Message,
    OrderSide,
    PortfolioState,
    PortfolioUpdated,
    Record,
    new_envelope,
    to_record,
)
from shared.kit.cause import Cause
from shared.kit.consuming import Consumer
from shared.kit.service import Service

AT = datetime(2026, 1, 31, 12, 0, tzinfo=UTC)
_OFFSETS = count()


@dataclass(frozen=True)
class Sent:
    """A message with the envelope under which it was sent, so that it can be sent again."""

    message: Message
    envelope: Envelope
    key: str | None = None

    @property
    def record(self) -> Record:
        return to_record(self.message, self.envelope, key=self.key)

    def again(self, **changed: Any) -> "Sent":
        return replace(self, envelope=replace(self.envelope, **changed))


@dataclass(frozen=True)
class Announced:
    """A row of the outbox."""

    topic: str
    key: str
    type: str
    headers: dict[str, str]
    body: dict[str, Any]


class World:
    """One client's accounts and orders in the service, without a broker between."""

    def __init__(self, service: Service) -> None:
        self.service = service
        self.database = service.database
        copies, commands = service.subscribers
        self.copies = Consumer(copies, service.database, service.kafka)
        self.commands = Consumer(commands, service.database, service.kafka)
        self.client_id = uuid4()

    async def close(self) -> None:
        await self.copies.parking.close()
        await self.commands.parking.close()

    @property
    def cause(self) -> Cause:
        return Cause(self.client_id, "a-request")

    def sent(self, message: Message, *, client_id: UUID | None = None, key: str | None = None) -> Sent:
        envelope = new_envelope(
            message, source="/upstream", client_id=client_id or self.client_id, correlation_id="req-7"
        )
        return Sent(message, envelope, key)

    async def applied(self, *messages: Message | Sent) -> None:
        """Let the keeper of copies take a batch."""
        await self.copies.take([self.incoming(each) for each in messages], {})

    async def commanded(self, *messages: Message | Sent) -> list[Announced]:
        """Let the taker of commands take a batch; answers the replies to it."""
        sent = [each if isinstance(each, Sent) else self.sent(each) for each in messages]
        await self.commands.take([self.incoming(each) for each in sent], {})
        ids = {each.envelope.id for each in sent}
        replies = [each for each in await self.announced() if each.topic == "commands.replies.v1"]
        return [each for each in replies if each.body["command_id"] in ids]

    def incoming(self, message: Message | Sent) -> "ConsumerRecord[bytes, bytes]":
        record = (message if isinstance(message, Sent) else self.sent(message)).record
        return a_record(self.service.kafka.physical(record.topic), record.key, record.value, record.headers)

    async def worked(self) -> None:
        """Let the worker do what there is to do on executions."""
        while await use_cases.work_on_next(self.database):
            pass

    async def rebalanced(self, *accounts: UUID, allocations: Sequence[UUID] = ()) -> Execution:
        """An execution for these accounts, whose orders are made."""
        async with self.database.unit_of_work(self.cause) as work:
            targets = Targets(accounts, tuple(allocations))
            execution = await use_cases.request_rebalancing(work, self.cause, uuid4(), targets)
        await self.worked()
        return execution

    async def an_account(self, *, version: int = 0, **changed: Any) -> UUID:
        """An account of the client, configured under `version` if that is not 0."""
        account_id = uuid4()
        states: list[Message] = [account_state(account_id, **changed)]
        if version:
            states.append(configured(account_id, version))
        await self.applied(*states)
        return account_id

    async def an_order(self, account_id: UUID, **changed: Any) -> Order:
        async with self.database.unit_of_work(self.cause) as work:
            return await use_cases.place_order(work, self.cause, wanted(account_id, **changed))

    async def rows(self, statement: str, **arguments: Any) -> Sequence[Any]:
        async with self.database.reading() as connection:
            return (await connection.execute(text(statement), arguments)).all()

    async def statuses(self, account_id: UUID) -> list[tuple[str, str | None]]:
        found = await self.rows(
            "SELECT status, cancellation_reason FROM orders WHERE account_id = :a ORDER BY id", a=account_id
        )
        return [(row.status, row.cancellation_reason) for row in found]

    async def copy_of(self, account_id: UUID) -> Any:
        (found,) = await self.rows("SELECT * FROM accounts WHERE account_id = :a", a=account_id)
        return found

    async def announced(self, account_id: UUID | None = None) -> list[Announced]:
        """What waits in the outbox, in its order; of one account's events or of everything."""
        found = await self.rows(
            "SELECT topic, key, headers, payload FROM outbox WHERE CAST(:k AS text) IS NULL OR key = :k ORDER BY id",
            k=str(account_id) if account_id else None,
        )
        rows = [
            Announced(row.topic, row.key, row.headers["ce_type"], row.headers, orjson.loads(row.payload))
            for row in found
        ]
        return [each for each in rows if account_id is None or each.topic != "commands.replies.v1"]

    async def types_announced(self, account_id: UUID) -> list[str]:
        return [each.type for each in await self.announced(account_id)]


def a_record(
    topic: str, key: bytes | None, value: bytes | None, headers: Sequence[tuple[str, bytes]]
) -> "ConsumerRecord[bytes, bytes]":
    return ConsumerRecord(topic, 0, next(_OFFSETS), 0, 0, key, value, None, 0, 0, tuple(headers))


def account_state(account_id: UUID, *, revision: int = 1, **changed: Any) -> AccountState:
    told: dict[str, Any] = {
        "user_id": uuid4(),
        "type": AccountType.PORTFOLIO,
        "status": AccountStatus.ACTIVE,
        "name": None,
        "portfolio_id": None,
        "created_at": AT,
        "updated_at": AT,
    }
    return AccountCreated(account_id=account_id, revision=revision, **{**told, **changed})


def portfolio_state(portfolio_id: UUID, *, revision: int = 1, blocked: bool = False, **changed: Any) -> PortfolioState:
    told: dict[str, Any] = {
        "organization_id": uuid4(),
        "ledger_id": uuid4(),
        "name": "Family",
        "entity_id": None,
        "status_code": "BLOCKED" if blocked else "ACTIVE",
        "status_description": None,
        "created_at": AT,
        "updated_at": AT,
        "deleted_at": None,
    }
    return PortfolioUpdated(portfolio_id=portfolio_id, revision=revision, **{**told, **changed})


def configured(account_id: UUID, version: int, **changed: Any) -> ConfigurationState:
    """The state after the configuration of this version, as if every version was created and deleted in turn."""
    return ConfigurationCreated(**_configuration(account_id, version, 2 * version - 1, None, **changed))


def deleted(account_id: UUID, version: int, **changed: Any) -> ConfigurationState:
    """The state after the deletion of this version."""
    return ConfigurationDeleted(**_configuration(account_id, version, 2 * version, AT, **changed))


def _configuration(
    account_id: UUID, version: int, revision: int, deleted_at: datetime | None, **changed: Any
) -> dict[str, Any]:
    told = {
        "account_id": account_id,
        "allocation_id": uuid4(),
        "version": version,
        "revision": revision,
        "configured": deleted_at is None,
        "created_at": AT,
        "updated_at": AT,
        "deleted_at": deleted_at,
    }
    return {**told, **changed}


def wanted(account_id: UUID, **changed: Any) -> WantedOrder:
    told: dict[str, Any] = {
        "user_id": uuid4(),
        "side": OrderSide.BUY,
        "cash_amount": Decimal("100.00"),
        "currency": "EUR",
    }
    return WantedOrder(account_id=account_id, **{**told, **changed})

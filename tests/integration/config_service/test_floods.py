"""Commands that are refused are refused in batches: a flood of them costs a few statements for each batch."""

from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
from aiokafka import ConsumerRecord
from sqlalchemy import event, text

from services.config_service import use_cases
from services.config_service.consumers import commands_subscriber
from services.config_service.domain import (
    AccountChange,
    LedgerRef,
    LedgerToMake,
    NewAccount,
    NewAllocation,
    OrganizationToMake,
    PortfolioToMake,
)
from shared.contracts import (
    AccountStatus,
    AccountType,
    AllocationItem,
    ChangeConfiguration,
    Command,
    CreateConfiguration,
    DeleteConfiguration,
    DeletePortfolio,
    InstrumentIdType,
    new_envelope,
    new_id,
    to_record,
)
from shared.kit import schema
from shared.kit.cause import Cause
from shared.kit.consuming import Consumer
from shared.kit.inbox import keep_partitions
from shared.kit.kafka import Kafka
from shared.kit.outbox import Outbox
from shared.kit.settings import async_url
from shared.kit.unit_of_work import Database
from tests.conftest import PARTITIONS

#: The locks of accounts, what there is of accounts and of allocations, the inbox with its replies, the outbox.
STATEMENTS_OF_A_BATCH = 5
_OFFSETS = count()


@pytest.fixture(scope="module")
async def own_database(stack: Any) -> AsyncIterator[Database]:
    url = async_url(stack.create_database(f"floods_{uuid4().hex[:8]}"))
    await schema.migrate(url, "services.config_service")
    made = Database(url, Outbox("/config_service", PARTITIONS), application="test")
    await keep_partitions(made)
    yield made
    await made.close()


class World:
    def __init__(self, database: Database, kafka: Kafka) -> None:
        self.database = database
        self.client_id = uuid4()
        self.kafka = kafka
        self.consumer = Consumer(commands_subscriber(), database, kafka)

    @property
    def cause(self) -> Cause:
        return Cause(self.client_id, "a-test")

    async def an_account(self, **changed: Any) -> UUID:
        new = NewAccount(**{"user_id": uuid4(), "type": AccountType.PORTFOLIO, **changed})
        async with self.database.unit_of_work(self.cause) as work:
            return (await use_cases.open_account(work, self.cause, new)).account_id

    async def an_allocation(self) -> UUID:
        item = AllocationItem.model_validate_json(
            orjson.dumps({"instrument_id": "US0378331005", "instrument_id_type": InstrumentIdType.ISIN, "weight": "1"})
        )
        async with self.database.unit_of_work(self.cause) as work:
            return (await use_cases.make_allocation(work, self.cause, NewAllocation(None, (item,)))).allocation_id

    async def a_portfolio(self) -> DeletePortfolio:
        """Make a portfolio; answers the command that deletes it."""
        async with self.database.unit_of_work(self.cause) as work:
            whose = OrganizationToMake(legalName="Aurora", legalDocument="1")
            organization = await use_cases.make_organization(work, self.cause, whose)
            new = LedgerToMake(name="a ledger")
            ledger = await use_cases.make_ledger(work, self.cause, organization.organization_id, new)
            ref, id_ = LedgerRef(self.client_id, organization.organization_id, ledger.ledger_id), new_id()
            await use_cases.create_portfolio(work, self.cause, ref, id_, PortfolioToMake(name="a portfolio"))
        return DeletePortfolio(portfolio_id=id_, organization_id=ref.organization_id, ledger_id=ref.ledger_id)

    def sent(self, command: Command, body: bytes | None = None, **envelope: Any) -> "ConsumerRecord[bytes, bytes]":
        told = {"source": "/upstream", "client_id": self.client_id, **envelope}
        record = to_record(command, new_envelope(command, **told))
        topic, value = self.kafka.physical(record.topic), record.value if body is None else body
        return ConsumerRecord(topic, 0, next(_OFFSETS), 0, 0, record.key, value, None, 0, 0, tuple(record.headers))

    async def taken(self, *records: "ConsumerRecord[bytes, bytes]") -> list[int | None]:
        """Let a batch be taken; answers the statuses of its replies, None for those that were accepted."""
        async with self.database.unit_of_work() as work:
            await work.connection.execute(text("DELETE FROM outbox"))
        await self.consumer.take(records, {})
        return [(reply.get("problem") or {}).get("status") for reply in await self.replies()]

    async def replies(self) -> list[dict[str, Any]]:
        query = text("SELECT payload FROM outbox WHERE topic = 'commands.replies.v1' ORDER BY id")
        async with self.database.reading() as connection:
            return [orjson.loads(payload) for payload in (await connection.execute(query)).scalars()]


@pytest.fixture
def world(own_database: Database, kafka: Kafka) -> World:
    return World(own_database, kafka)


@contextmanager
def statements(database: Database) -> Iterator[list[str]]:
    """What is sent to the database meanwhile."""
    sent: list[str] = []

    def note(_connection: Any, _cursor: Any, statement: str, *_: Any) -> None:
        sent.append(" ".join(statement.split()))

    engine = database.engine.sync_engine
    event.listen(engine, "before_cursor_execute", note)
    try:
        yield sent
    finally:
        event.remove(engine, "before_cursor_execute", note)


def _unknown(_: UUID) -> Command:
    return CreateConfiguration(account_id=uuid4(), allocation_id=uuid4())


def _without_allocation(account_id: UUID) -> Command:
    return CreateConfiguration(account_id=account_id, allocation_id=uuid4())


def _nothing_to_change(account_id: UUID) -> Command:
    return ChangeConfiguration(account_id=account_id, allocation_id=uuid4())


def _nothing_to_delete(account_id: UUID) -> Command:
    return DeleteConfiguration(account_id=account_id)


@pytest.mark.parametrize("command", [_unknown, _without_allocation, _nothing_to_change, _nothing_to_delete])
async def test_a_batch_of_refused_commands_costs_the_same_few_statements_however_large_it_is(
    world: World, command: Callable[[UUID], Command]
) -> None:
    account = await world.an_account()
    batch = [world.sent(command(account)) for _ in range(300)]
    with statements(world.database) as sent:
        await world.consumer.take(batch, {})
    assert len(sent) <= STATEMENTS_OF_A_BATCH, sent
    assert [reply["problem"]["status"] for reply in await world.replies()][-300:] == [404] * 300


async def test_a_batch_of_deletions_of_a_portfolio_that_accounts_name_costs_a_few_statements_as_well(
    world: World,
) -> None:
    delete = await world.a_portfolio()
    account = await world.an_account(portfolio_id=delete.portfolio_id)
    with statements(world.database) as sent:
        statuses = await world.taken(*(world.sent(delete) for _ in range(300)))
    assert statuses == [409] * 300
    assert not [each for each in sent if each.startswith("SAVEPOINT")]
    change = AccountChange(portfolio_id=None)
    async with world.database.unit_of_work(world.cause) as work:
        await use_cases.change_account(work, world.cause, account, change)
    assert await world.taken(world.sent(delete), world.sent(delete)) == [None, 404]


async def test_a_batch_of_commands_with_bad_bodies_costs_two_statements(world: World) -> None:
    batch = [world.sent(_unknown(uuid4()), body=b'{"account_id": 1}') for _ in range(300)]
    with statements(world.database) as sent:
        statuses = await world.taken(*batch)
    assert statuses == [400] * 300
    assert len([each for each in sent if each.startswith("INSERT")]) == 2
    assert not [each for each in sent if each.startswith("SAVEPOINT")]


async def test_one_accepted_command_among_refused_ones_costs_its_own_statements_alone(world: World) -> None:
    account, allocation = await world.an_account(), await world.an_allocation()
    good = world.sent(CreateConfiguration(account_id=account, allocation_id=allocation))
    refused = [world.sent(_unknown(account)) for _ in range(200)]
    with statements(world.database) as sent:
        statuses = await world.taken(*refused[:100], good, *refused[100:])
    assert statuses == [404] * 100 + [None] + [404] * 100
    assert len([each for each in sent if each.startswith("SAVEPOINT")]) == 1


async def test_commands_of_one_account_in_one_batch_are_decided_each_on_what_the_one_before_has_left(
    world: World,
) -> None:
    account, allocation = await world.an_account(), await world.an_allocation()
    create = CreateConfiguration(account_id=account, allocation_id=allocation)
    change = ChangeConfiguration(account_id=account, allocation_id=allocation)
    delete = DeleteConfiguration(account_id=account)
    asked: Sequence[Command] = (delete, change, create, create, change, delete, delete, create)
    statuses = await world.taken(*(world.sent(each) for each in asked))
    assert statuses == [404, 404, None, 409, None, None, 404, None]


async def test_refused_commands_behind_one_that_was_carried_out_on_their_key_are_refused_together_as_well(
    world: World,
) -> None:
    account, allocation = await world.an_account(), await world.an_allocation()
    create = CreateConfiguration(account_id=account, allocation_id=allocation)
    with statements(world.database) as sent:
        statuses = await world.taken(*(world.sent(create) for _ in range(300)))
    assert statuses == [None] + [409] * 299
    assert len([each for each in sent if each.startswith("SAVEPOINT")]) == 1
    assert len(sent) <= 20, sent


@pytest.mark.parametrize(
    ("account", "status"),
    [
        ({"type": AccountType.TRADING}, 422),
        ({"status": AccountStatus.PENDING_APPROVAL}, 422),
        ({}, None),
    ],
)
async def test_what_is_foreseen_is_what_the_use_case_would_say(
    world: World, account: dict[str, Any], status: int | None
) -> None:
    create = CreateConfiguration(
        account_id=await world.an_account(**account), allocation_id=await world.an_allocation()
    )
    foreign = world.sent(create, client_id=uuid4())
    assert await world.taken(foreign, world.sent(create)) == [404, status]


async def test_a_refused_command_that_comes_again_has_its_first_answer_in_the_same_batch_and_later(
    world: World,
) -> None:
    account, allocation = await world.an_account(), await world.an_allocation()
    delete = world.sent(DeleteConfiguration(account_id=account), id="again")
    create = world.sent(CreateConfiguration(account_id=account, allocation_id=allocation))
    assert await world.taken(delete, delete, create, delete) == [404, 404, None, 404]
    with statements(world.database) as sent:
        assert await world.taken(delete, delete) == [404, 404]
    assert not [each for each in sent if each.startswith(("SAVEPOINT", "UPDATE"))]


async def test_replies_to_different_commands_differ_in_their_ids_wherever_slashes_stand_in_source_and_id(
    world: World,
) -> None:
    named = [("/a", "b/c"), ("/a/b", "c"), ("/a", "b%2Fc")]
    commands = [world.sent(_unknown(uuid4()), source=source, id=id_) for source, id_ in named]
    await world.taken(*commands, *commands)
    query = text("SELECT headers ->> 'ce_id' FROM outbox WHERE topic = 'commands.replies.v1' ORDER BY id")
    async with world.database.reading() as connection:
        ids = (await connection.execute(query)).scalars().all()
    assert len(ids) == 6
    assert len(set(ids)) == 3, "one id for each command, the same for its repetition"

"""P3 and P7 at the consumers: nothing is lost, nothing blocks its neighbours, nothing is done twice."""

import asyncio
import os
import sys
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, suppress
from typing import Any
from uuid import UUID, uuid4

import pytest
from aiokafka import AIOKafkaProducer, ConsumerRecord, TopicPartition
from aiokafka.admin import RecordsToDelete
from aiokafka.errors import MessageSizeTooLargeError, UnknownError
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from deploy.local.topics import records_of
from shared.contracts import ORDERS_EVENTS, OrderPlaced, new_envelope, parked_topic, to_record
from shared.kit.batch_consumer import BatchConsumer
from shared.kit.bus import Bus
from shared.kit.kafka import Kafka
from shared.kit.membership import has_its_place, tasks_of
from shared.kit.parking import Parked, Parking, _pieces
from shared.kit.projections import Positions
from shared.kit.received import Origin, Received
from shared.kit.redrive import redrive
from shared.kit.refusals import Conflict
from shared.kit.skipping import NotSkippedError, Skipped, skip
from shared.kit.subscriber import RefusedEvents, Subscriber
from shared.kit.unit_of_work import Database, UnitOfWork
from tests.conftest import eventually

from .bench import CLIENT, consuming, make_topics, producing, send
from .crash_driver import order_placed

GROUP = "bench.orders"


class Taker:
    """Takes orders into a table, and fails on demand: `faults` holds the errors that are still to come, by order."""

    def __init__(self) -> None:
        self.subscriber = Subscriber(GROUP, [ORDERS_EVENTS], patience=3)
        self.faults: dict[UUID, list[Exception]] = {}
        self.batches: list[int] = []
        self.subscriber.on(OrderPlaced)(self.on_order_placed)

    async def on_order_placed(self, work: UnitOfWork, messages: Sequence[Received[Any]]) -> None:
        self.batches.append(len(messages))
        for each in messages:
            await work.connection.execute(text("INSERT INTO taken VALUES (:id)"), {"id": each.body.id})
            if self.faults.get(each.body.id):
                raise self.faults[each.body.id].pop()


@pytest.fixture
async def taker(kafka: Kafka, database: Database) -> Taker:
    made = Taker()
    await make_topics(kafka, made.subscriber)
    async with database.unit_of_work() as work:
        await work.connection.execute(text("CREATE TABLE taken (id uuid NOT NULL)"))
    return made


async def taken(database: Database) -> Counter[UUID]:
    async with database.reading() as connection:
        return Counter((await connection.execute(text("SELECT id FROM taken"))).scalars())


async def all_taken(database: Database, orders: Sequence[UUID]) -> None:
    async def there() -> bool:
        return (await taken(database)).keys() >= set(orders)

    await eventually(there)


async def parked(kafka: Kafka) -> list[dict[str, str]]:
    records = await records_of(kafka, parked_topic(GROUP).name)
    return [{name: value.decode() for name, value in r.headers if name.startswith("parked-")} for r in records]


def orders_over_all_partitions() -> list[OrderPlaced]:
    return [order_placed(uuid4(), uuid4()) for _ in range(30)]


async def test_a_failed_batch_over_several_partitions_loses_none_of_them(
    kafka: Kafka, database: Database, taker: Taker
) -> None:
    orders = orders_over_all_partitions()
    gone = OperationalError("SELECT 1", {}, Exception("the database is away"))
    taker.faults[orders[-1].id] = [gone, gone, gone]
    await send(kafka, *orders)
    async with consuming(kafka, database, taker.subscriber):
        await all_taken(database, [order.id for order in orders])

    assert await taken(database) == Counter(order.id for order in orders)
    assert taker.faults[orders[-1].id] == []
    assert await parked(kafka) == [], "infrastructure that is away is not the message's fault"


async def test_a_message_that_keeps_failing_is_parked_and_its_neighbours_are_done(
    kafka: Kafka, database: Database, taker: Taker
) -> None:
    orders = orders_over_all_partitions()
    bad = orders[7].id
    taker.faults[bad] = [RuntimeError("a defect of ours")] * 100
    await send(kafka, *orders)
    async with consuming(kafka, database, taker.subscriber):
        await all_taken(database, [order.id for order in orders if order.id != bad])
        (entry,) = await eventually(lambda: parked(kafka))

    assert bad not in await taken(database)
    assert (entry["parked-reason"], entry["parked-attempts"]) == ("out_of_patience", "3")
    assert "a defect of ours" in entry["parked-detail"]


async def test_events_that_a_handler_refuses_are_parked_and_their_neighbours_stay_one_batch(
    kafka: Kafka, database: Database, taker: Taker
) -> None:
    orders = orders_over_all_partitions()
    refused = {order.id for order in orders[::7]}

    @taker.subscriber.on(OrderPlaced)
    async def on_order_placed(work: UnitOfWork, messages: Sequence[Received[Any]]) -> RefusedEvents:
        await taker.on_order_placed(work, [each for each in messages if each.body.id not in refused])
        return [(each, Conflict("it is not wanted")) for each in messages if each.body.id in refused]

    await send(kafka, *orders)
    async with consuming(kafka, database, taker.subscriber):
        await all_taken(database, [order.id for order in orders if order.id not in refused])
        entries = await eventually(lambda: all_parked(kafka, len(refused)))
        assert sum(taker.batches) == len(orders) - len(refused), "nothing was handed over a second time"
        assert {(entry["parked-reason"], entry["parked-attempts"]) for entry in entries} == {("refused", "1")}
        # They were not taken: wanted now, they come back as something new.
        redriven, refused = refused, set()
        assert await redrive(kafka, GROUP) == len(redriven)
        await all_taken(database, [order.id for order in orders])

    assert await taken(database) == Counter(order.id for order in orders)


async def all_parked(kafka: Kafka, count: int) -> list[dict[str, str]]:
    entries = await parked(kafka)
    return entries if len(entries) == count else []


async def test_a_message_that_came_twice_is_taken_once_within_a_batch_and_across_restarts(
    kafka: Kafka, database: Database, taker: Taker
) -> None:
    orders = orders_over_all_partitions()
    envelopes = [new_envelope(order, source="/upstream", client_id=CLIENT) for order in orders]
    async with producing(kafka) as producer:
        for _ in range(2):
            for order, envelope in zip(orders, envelopes, strict=True):
                record = to_record(order, envelope)
                await producer.send(kafka.physical(record.topic), record.value, key=record.key, headers=record.headers)
        await producer.flush()
        async with consuming(kafka, database, taker.subscriber):
            await all_taken(database, [order.id for order in orders])
        for order, envelope in zip(orders, envelopes, strict=True):
            record = to_record(order, envelope)
            await producer.send(kafka.physical(record.topic), record.value, key=record.key, headers=record.headers)
    marker = order_placed(uuid4(), uuid4())
    await send(kafka, marker)
    async with consuming(kafka, database, taker.subscriber):
        await all_taken(database, [marker.id])

    assert set((await taken(database)).values()) == {1}


def _poison() -> list[Any]:
    order = order_placed(uuid4(), uuid4())
    good = to_record(order, new_envelope(order, source="/upstream", client_id=CLIENT))
    headers = dict(good.headers)

    def without(name: str) -> list[tuple[str, bytes]]:
        return [(key, value) for key, value in good.headers if key != name]

    return (
        [
            pytest.param(good.key, b"\xff\xfe\x00", good.headers, "not_json", id="unreadable bytes"),
            pytest.param(good.key, b'{"id": 1', good.headers, "not_json", id="cut off"),
            pytest.param(good.key, b"{}", good.headers, "invalid_body", id="an empty body"),
            pytest.param(good.key, None, good.headers, "null_value", id="a null value"),
            pytest.param(
                good.key, good.value, [*good.headers, ("x", b"\xff")], "not_utf8_header", id="a binary header"
            ),
            pytest.param(good.key, good.value, without("ce_id"), "missing_attribute", id="no id"),
            pytest.param(good.key, good.value, [*good.headers, ("ce_id", b"2")], "doubled_attribute", id="two ids"),
            pytest.param(
                good.key,
                good.value,
                [*without("ce_specversion"), ("ce_specversion", b"0.3")],
                "wrong_version",
                id="version",
            ),
            pytest.param(good.key, good.value, [*without("ce_type"), ("ce_type", b"Party")], "unknown_type", id="type"),
            pytest.param(
                good.key, good.value, [*without("ce_type"), ("ce_type", b"AccountCreated")], "wrong_topic", id="topic"
            ),
            pytest.param(b"another", good.value, good.headers, "key_mismatch", id="another key"),
            pytest.param(None, good.value, good.headers, "key_mismatch", id="no key"),
            pytest.param(
                good.key,
                good.value,
                [*without("ce_time"), ("ce_time", b"2020-01-01T00:00:00Z")],
                "too_old",
                id="older than the inbox",
            ),
            pytest.param(
                good.key,
                good.value,
                [*without("ce_time"), ("ce_time", b"2999-01-01T00:00:00Z")],
                "from_the_future",
                id="from the future",
            ),
        ]
        if headers
        else []
    )


@pytest.mark.parametrize(("key", "value", "headers", "reason"), _poison())
async def test_what_cannot_be_read_is_parked_whole_with_its_reason_and_holds_nothing_up(
    kafka: Kafka, database: Database, taker: Taker, key: bytes, value: bytes, headers: Any, reason: str
) -> None:
    before, after = order_placed(uuid4(), uuid4()), order_placed(uuid4(), uuid4())
    async with consuming(kafka, database, taker.subscriber):
        await send(kafka, before)
        async with producing(kafka) as producer:
            await producer.send_and_wait(kafka.physical(ORDERS_EVENTS.name), value, key=key, headers=headers)
        await send(kafka, after)
        await all_taken(database, [before.id, after.id])
        (entry,) = await eventually(lambda: parked(kafka))
    (record,) = await records_of(kafka, parked_topic(GROUP).name)

    assert entry["parked-reason"] == reason
    assert (entry["parked-topic"], entry["parked-group"]) == (ORDERS_EVENTS.name, GROUP)
    assert (record.key, record.value) == (key, value)
    assert [header for header in record.headers if not header[0].startswith("parked-")] == headers


async def test_a_parked_message_can_be_redriven_to_its_group_alone(
    kafka: Kafka, database: Database, taker: Taker
) -> None:
    order = order_placed(uuid4(), uuid4())
    taker.faults[order.id] = [RuntimeError("mended later")] * 4
    async with consuming(kafka, database, taker.subscriber):
        await send(kafka, order)
        await eventually(lambda: parked(kafka))
        taker.faults.clear()
        assert await redrive(kafka, GROUP, reason="another reason") == 0
        assert await redrive(kafka, GROUP) == 1
        await all_taken(database, [order.id])

    assert len(await records_of(kafka, ORDERS_EVENTS.name)) == 1, "the origin got nothing"


async def test_a_message_too_large_to_park_whole_is_parked_in_parts_and_comes_back_whole(
    kafka: Kafka, database: Database, taker: Taker
) -> None:
    headers = [("weight", b"x" * 20_000)] * 230
    async with producing(kafka) as producer:
        admin = kafka.admin()
        await admin.start()
        try:
            await _allow_large(admin, kafka.physical(ORDERS_EVENTS.name))
        finally:
            await admin.close()
        producer._max_request_size = 20_000_000
        topic = kafka.physical(ORDERS_EVENTS.name)
        await _once_allowed(lambda: producer.send_and_wait(topic, b"y" * 50_000, key=b"k", headers=headers))
    async with consuming(kafka, database, taker.subscriber):
        entries = await eventually(lambda: _parts(kafka))
    assert [entry["parked-part"] for entry in entries] == [f"{n + 1}/{len(entries)}" for n in range(len(entries))]
    assert len({entry["parked-id"] for entry in entries}) == 1


async def test_a_parking_that_was_broken_off_between_two_parts_does_not_spoil_the_redrive(
    kafka: Kafka, taker: Taker
) -> None:
    headers = (("weight", b"x" * 20_000),) * 230
    record = ConsumerRecord("t", 0, 7, 0, 0, b"k", b"y" * 50_000, None, 1, 50_000, headers)
    parking, parked_for = Parking(kafka, GROUP), Parked(Origin("t", 0, 7), "not_json", "no JSON")
    first_part = _pieces(record, parking._headers(parked_for))[0]
    async with producing(kafka) as producer:
        key, value, told = first_part
        await producer.send_and_wait(kafka.physical(parked_topic(GROUP).name), value, key=key, headers=told)
    await parking.park(record, parked_for)
    await parking.close()
    way_back = taker.subscriber.all_topics[-1].name
    async with _large_redrives(kafka, way_back):
        assert await _once_allowed(lambda: redrive(kafka, GROUP)) == 1
    (back,) = await records_of(kafka, way_back)

    assert (back.key, back.value, tuple(back.headers[:230])) == (record.key, record.value, headers)


@asynccontextmanager
async def _large_redrives(kafka: Kafka, topic: str) -> AsyncIterator[None]:
    admin = kafka.admin()
    await admin.start()
    try:
        await _allow_large(admin, kafka.physical(topic))
        yield
    finally:
        await admin.close()


async def _parts(kafka: Kafka) -> list[dict[str, str]]:
    entries = await parked(kafka)
    return entries if entries and len(entries) == int(entries[0]["parked-part"].partition("/")[2]) else []


async def _allow_large(admin: Any, topic: str) -> None:
    from aiokafka.admin.config_resource import ConfigResource, ConfigResourceType  # noqa: PLC0415

    await admin.alter_configs([ConfigResource(ConfigResourceType.TOPIC, topic, {"max.message.bytes": "10000000"})])


async def _once_allowed(sending: Callable[[], Awaitable[Any]]) -> Any:
    """What `sending` answers once the broker acts upon what it was told of the topic, which it does a moment later."""

    async def sent() -> list[Any]:
        with suppress(MessageSizeTooLargeError):
            return [await sending()]
        return []

    (answer,) = await eventually(sent)
    return answer


async def test_records_deleted_before_they_were_read_stop_the_consumer_which_says_so(
    kafka: Kafka, database: Database, taker: Taker
) -> None:
    account = uuid4()
    first, second, third = (order_placed(uuid4(), account) for _ in range(3))
    partition = database.outbox.partition_of(str(account))
    neighbours = [o for o, _ in zip(_orders(), range(30), strict=False)]
    async with consuming(kafka, database, taker.subscriber):
        await send(kafka, first)
        await all_taken(database, [first.id])
    # Healthy partitions have news as well: their commits must not carry the lost one past its gap.
    await send(kafka, second, third, *neighbours)
    admin = kafka.admin()
    await admin.start()
    try:
        where = TopicPartition(kafka.physical(ORDERS_EVENTS.name), partition)
        await admin.delete_records({where: RecordsToDelete(before_offset=2)})
    finally:
        await admin.close()
    for _ in range(2):
        async with consuming(kafka, database, taker.subscriber) as (bus, _):

            async def says_so(bus: Bus = bus) -> bool:
                return "behind the stored position 1 are gone" in (await bus.problem() or "")

            await eventually(says_so)
            with pytest.raises(NotSkippedError, match="stop every process"):
                await skip(database, kafka, GROUP, ORDERS_EVENTS.name)

    assert third.id not in await taken(database), "it never skips in silence, also after a restart"
    # An operator's word moves it on, and only in the partition that has lost something.
    moved = await skip(database, kafka, GROUP, ORDERS_EVENTS.name)
    assert moved == [Skipped(partition, 2, 1)]
    async with consuming(kafka, database, taker.subscriber):
        await all_taken(database, [third.id])
    assert await skip(database, kafka, GROUP, ORDERS_EVENTS.name) == []
    with pytest.raises(NotSkippedError, match="ends at"):
        await skip(database, kafka, GROUP, ORDERS_EVENTS.name, partition=partition, to=1_000)
    with pytest.raises(NotSkippedError, match="no partition 99"):
        await skip(database, kafka, GROUP, ORDERS_EVENTS.name, partition=99, to=0)


_BAD_NAME = """
import asyncio, sys
from aiokafka import AIOKafkaProducer

class Name(str):
    def encode(self, *_):
        return b"\\xff\\xfe"

async def main(bootstrap, topic):
    async with AIOKafkaProducer(bootstrap_servers=bootstrap) as producer:
        await producer.send_and_wait(topic, b"x", key=b"k", partition=0, headers=[(Name("xx"), b"v")])

asyncio.run(main(*sys.argv[1:]))
"""


async def test_a_header_whose_name_is_no_text_stops_its_partition_alone_and_nothing_is_skipped(
    kafka: Kafka, database: Database, taker: Taker
) -> None:
    orders = [order_placed(uuid4(), uuid4()) for _ in range(200)]
    await send(kafka, *orders[:100])
    topic = kafka.physical(ORDERS_EVENTS.name)
    # The compiled record writer wants real text; the plain one takes what an old librdkafka may have sent.
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-c", _BAD_NAME, kafka.bootstrap, topic, env={**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"}
    )
    assert await process.wait() == 0
    await send(kafka, *orders[100:])
    # Those behind it wait; those before it do not.
    behind = {order.id for order in orders[100:] if database.outbox.partition_of(str(order.account_id)) == 0}
    healthy = [order.id for order in orders if order.id not in behind]
    async with consuming(kafka, database, taker.subscriber) as (bus, liveness):
        await all_taken(database, healthy)

        async def says_so() -> bool:
            return "cannot unpack the next record" in (await bus.problem() or "")

        await eventually(says_so)
        late = next(
            o
            for o in iter(lambda: order_placed(uuid4(), uuid4()), None)
            if database.outbox.partition_of(str(o.account_id))
        )
        await send(kafka, late)
        await all_taken(database, [late.id])
        assert liveness.problems() == []
        told = await bus.problem() or ""

        assert not behind & (await taken(database)).keys()

    bad = int(told.partition("/0 at ")[2].partition(":")[0])
    (moved,) = await skip(database, kafka, GROUP, ORDERS_EVENTS.name, partition=0, to=bad + 1)
    assert (moved.partition, moved.at) == (0, bad + 1)
    async with consuming(kafka, database, taker.subscriber):
        await all_taken(database, [order.id for order in orders])

    assert set((await taken(database)).values()) == {1}


async def test_a_batch_that_waits_is_not_passed_over_when_another_partition_cannot_be_unpacked(
    kafka: Kafka, database: Database, taker: Taker
) -> None:
    order = next(o for o in _orders() if database.outbox.partition_of(str(o.account_id)) == 1)
    taker.faults[order.id] = [OperationalError("SELECT 1", {}, Exception("the database is away"))] * 2
    await send(kafka, order)
    async with consuming(kafka, database, taker.subscriber) as (bus, _):
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-c", _BAD_NAME, kafka.bootstrap, kafka.physical(ORDERS_EVENTS.name)),
            env={**os.environ, "AIOKAFKA_NO_EXTENSIONS": "1"},
        )
        assert await process.wait() == 0

        async def blocked() -> bool:
            return "cannot unpack the next record" in (await bus.problem() or "")

        await eventually(blocked)
        await all_taken(database, [order.id])

    assert await taken(database) == Counter([order.id])


def _orders() -> Iterator[OrderPlaced]:
    while True:
        yield order_placed(uuid4(), uuid4())


async def test_records_in_any_codec_of_kafka_are_taken(kafka: Kafka, database: Database, taker: Taker) -> None:
    orders = []
    for codec in ("gzip", "snappy", "lz4", "zstd"):
        orders.append(order_placed(uuid4(), uuid4()))
        record = to_record(orders[-1], new_envelope(orders[-1], source="/upstream", client_id=CLIENT))
        async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, compression_type=codec) as producer:
            topic = kafka.physical(record.topic)
            await producer.send_and_wait(topic, record.value, key=record.key, headers=record.headers)
    async with consuming(kafka, database, taker.subscriber):
        await all_taken(database, [order.id for order in orders])


async def test_an_unreadable_record_that_waits_for_its_batch_is_parked_once(
    kafka: Kafka, database: Database, taker: Taker
) -> None:
    account = uuid4()
    order = order_placed(uuid4(), account)
    gone = OperationalError("SELECT 1", {}, Exception("the database is away"))
    taker.faults[order.id] = [gone, gone]
    async with producing(kafka) as producer:
        where = {"key": str(account).encode(), "partition": database.outbox.partition_of(str(account))}
        await producer.send_and_wait(kafka.physical(ORDERS_EVENTS.name), b"\xff", **where)
    await send(kafka, order)
    async with consuming(kafka, database, taker.subscriber):
        await all_taken(database, [order.id])
        await eventually(lambda: parked(kafka))

    assert len(await parked(kafka)) == 1


async def test_a_consume_loop_that_ended_is_noticed(kafka: Kafka, database: Database, taker: Taker) -> None:
    async def cancels(_: UnitOfWork, __: Sequence[Received[Any]]) -> None:
        raise asyncio.CancelledError

    taker.subscriber.on(OrderPlaced)(cancels)
    async with consuming(kafka, database, taker.subscriber) as (_, liveness):
        assert liveness.problems() == []
        await send(kafka, order_placed(uuid4(), uuid4()))

        async def noticed() -> bool:
            return liveness.problems() == [f"{GROUP} has ended"]

        await eventually(noticed)


async def hangs(*_: object) -> None:
    await asyncio.Event().wait()


async def fails(*_: object) -> None:
    raise UnknownError


@pytest.mark.parametrize("aiokafkas", [hangs, fails])
async def test_a_member_that_does_not_find_its_place_in_the_group_again_begins_anew(
    kafka: Kafka, database: Database, taker: Taker, aiokafkas: Callable[..., Awaitable[None]]
) -> None:
    orders = orders_over_all_partitions()
    async with consuming(kafka, database, taker.subscriber, may_be_without_place=1) as (bus, liveness):
        ((_, subscriber),) = bus._attached
        first: BatchConsumer = subscriber.consumer

        async def joined() -> bool:
            return has_its_place(first._coordinator)

        await eventually(joined)
        # As it was seen after several deaths of Kafka: joined, and never done with it.
        first._coordinator._on_join_complete = aiokafkas
        first._coordinator.request_rejoin()

        async def lost() -> bool:
            return not has_its_place(first._coordinator)

        await eventually(lost, every=0.01)
        await send(kafka, *orders)
        await all_taken(database, [order.id for order in orders])
        assert subscriber.consumer is not first
        assert liveness.problems() == []
    assert not [task for task in tasks_of(first._coordinator) if not task.done()]


async def test_a_consumer_whose_fetching_has_ended_by_a_fault_of_its_own_begins_anew(
    kafka: Kafka, database: Database, taker: Taker
) -> None:
    orders = orders_over_all_partitions()
    async with consuming(kafka, database, taker.subscriber, may_be_without_place=1) as (bus, liveness):
        ((_, subscriber),) = bus._attached
        first: BatchConsumer = subscriber.consumer

        def asserts(*_: object) -> None:
            raise AssertionError

        # As it was seen when leaders changed while stored offsets were looked up. The group has its member all the
        # while, which beats and is handed nothing.
        first._fetcher._get_actions_per_node = asserts

        async def ended() -> bool:
            return not first.fetches

        await eventually(ended)
        await send(kafka, *orders)
        await all_taken(database, [order.id for order in orders])
        assert subscriber.consumer is not first
        assert liveness.problems() == []
    assert not [each for each in first._client._conns.values() if each.connected()]


async def test_messages_of_a_batch_are_handed_on_together(kafka: Kafka, database: Database, taker: Taker) -> None:
    orders = [order_placed(uuid4(), uuid4()) for _ in range(400)]
    await send(kafka, *orders)
    async with consuming(kafka, database, taker.subscriber):
        await all_taken(database, [order.id for order in orders])

    assert max(taker.batches) > 50


async def test_a_new_group_begins_although_its_first_wait_ends_before_its_positions_are_known(
    kafka: Kafka,
    taker: Taker,  # whose topics are there
) -> None:
    assert taker.subscriber.group == GROUP
    await send(kafka, order_placed(uuid4(), uuid4()))
    idle: list[Positions] = []

    async def at_idle(positions: Positions) -> None:
        idle.append(positions)

    consumer = BatchConsumer(
        kafka.physical(ORDERS_EVENTS.name),
        bootstrap_servers=kafka.bootstrap,
        group_id=kafka.physical("bench.new"),
        auto_offset_reset="none",
    )
    consumer.idle = at_idle
    async with consumer, asyncio.timeout(20):
        # Hardly any time: as on a machine that is too busy to look up what is stored within the wait.
        fetched = await consumer.getmany(timeout_ms=1)
    assert sum(map(len, fetched.values())) == 1
    assert idle, "the wait ended before"

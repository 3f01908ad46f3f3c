"""A database that answers and takes nobody, as PostgreSQL does while it recovers from a crash."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import asyncpg
import pytest

from shared.kit.faults import INFRASTRUCTURE, is_infrastructure
from shared.kit.kafka import Kafka
from shared.kit.outbox import Outbox
from shared.kit.relay import Relay
from shared.kit.unit_of_work import Database

_SSL_REQUEST = 80877103


@asynccontextmanager
async def recovering() -> AsyncIterator[tuple[Database, asyncio.Semaphore]]:
    """A server that speaks PostgreSQL's protocol as far as its refusal, which it counts."""
    refused = asyncio.Semaphore(0)

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while True:
            length = int.from_bytes(await reader.readexactly(4))
            packet = await reader.readexactly(length - 4)
            if int.from_bytes(packet[:4]) != _SSL_REQUEST:
                break
            writer.write(b"N")
        fields = b"SFATAL\0VFATAL\0C57P03\0Mthe database system is starting up\0\0"
        writer.write(b"E" + (len(fields) + 4).to_bytes(4) + fields)
        writer.close()
        refused.release()

    server = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    database = Database(f"postgresql+asyncpg://nobody:x@127.0.0.1:{port}/none", Outbox("/test", 3))
    async with server:
        yield database, refused
        await database.close()


async def test_a_database_that_is_starting_up_is_away_and_nobodys_fault() -> None:
    async with recovering() as (database, _):
        for asked in (database.driver_connection, database.reading):
            with pytest.raises(INFRASTRUCTURE) as caught:
                async with asked():
                    pass
            assert is_infrastructure(caught.value), repr(caught.value)


async def test_the_relay_outlives_a_database_that_is_starting_up() -> None:
    async with recovering() as (database, refused):
        relay = asyncio.create_task(Relay(database, Kafka("127.0.0.1:1"), "test").run(lambda: None))
        async with asyncio.timeout(10):
            for _ in range(4):
                await refused.acquire()
        assert not relay.done()
        relay.cancel()
        with pytest.raises(asyncio.CancelledError):
            await relay


def test_a_driver_that_lost_its_server_in_the_midst_of_something_is_no_defect_of_ours() -> None:
    fault = asyncpg.InternalClientError("cannot switch to state 12; another operation (2) is in progress")
    assert isinstance(fault, INFRASTRUCTURE)
    assert is_infrastructure(fault)

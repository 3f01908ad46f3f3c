"""The relay for TCP carries everything, and lets one process's connections suffer as it is told."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager

import pytest

from deploy.local.faults.wires import Mode, Way, Wires
from deploy.local.ports import LOOPBACK, free_ports

Connection = tuple[asyncio.StreamReader, asyncio.StreamWriter]


@asynccontextmanager
async def an_echo() -> AsyncIterator[int]:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        while chunk := await reader.read(4096):
            writer.write(chunk)
        writer.close()

    server = await asyncio.start_server(answer, LOOPBACK, 0)
    async with server:
        yield server.sockets[0].getsockname()[1]


async def echoed(connection: Connection, *, within: float = 5.0) -> bytes:
    reader, writer = connection
    writer.write(b"hello")
    async with asyncio.timeout(within):
        return await reader.read(5)


Dial = Callable[[int], Awaitable[Connection]]


@pytest.fixture
async def dialled() -> AsyncIterator[Dial]:
    """Opens connections, which are broken off in the end."""
    opened: list[Connection] = []

    async def dial(port: int) -> Connection:
        opened.append(await asyncio.open_connection(LOOPBACK, port))
        return opened[-1]

    yield dial
    for _, writer in opened:
        writer.transport.abort()
    await asyncio.sleep(0)


async def test_what_one_process_suffers_nobody_else_does(dialled: Dial) -> None:
    async with an_echo() as behind:
        mine, theirs = free_ports(2)
        wires = Wires([Way(mine, "mine", "kafka", behind), Way(theirs, "theirs", "kafka", behind)])
        with wires.relaying():
            connection, other = await dialled(mine), await dialled(theirs)
            assert await echoed(connection) == b"hello"

            wires.suffer("mine", "kafka", Mode.CUT)
            assert await broken(connection)
            assert await broken(await dialled(mine)), "a new one as well"

            wires.suffer("mine", "kafka", None)
            again = await dialled(mine)
            assert await echoed(again) == b"hello"

            wires.suffer("mine", "kafka", Mode.NOWHERE)
            with pytest.raises(TimeoutError):
                await echoed(again, within=0.3)
            assert await echoed(other) == b"hello"
            wires.suffer("mine", "kafka", None)
            assert await broken(again), "in the end"

            wires.suffer("mine", "kafka", Mode.SLOW)
            slow = await dialled(mine)
            began = asyncio.get_running_loop().time()
            assert await echoed(slow) == b"hello"
            assert asyncio.get_running_loop().time() - began > 0.5


async def broken(connection: Connection) -> bool:
    reader, _ = connection
    try:
        async with asyncio.timeout(5):
            return await reader.read(1) == b""
    except ConnectionError:
        return True

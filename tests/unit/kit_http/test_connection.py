"""What a connection may do before there is a request, and after its answer."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass
from urllib.parse import urlsplit

import pytest
from fastapi import FastAPI

from shared.kit.http import BoundedConnection

from .conftest import Serve

Streams = tuple[asyncio.StreamReader, asyncio.StreamWriter]
Read = Callable[..., Awaitable[bytes]]

ID = "0190d0a0-0000-7000-8000-000000000001"


@asynccontextmanager
async def connected(base_url: str) -> AsyncIterator[Streams]:
    address = urlsplit(base_url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    try:
        async with asyncio.timeout(10):
            yield reader, writer
    finally:
        writer.transport.abort()


@dataclass
class Ending:
    """A server that is about to end, and what it has come to."""

    url: str
    accepted: asyncio.Event
    #: what it was sent, piece by piece
    heard: asyncio.Queue[bytes]
    told: asyncio.Event
    end: Callable[[], Awaitable[None]]


@pytest.fixture
async def ending(serve: Serve, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Ending]:
    app, accepted, told, over = FastAPI(), asyncio.Event(), asyncio.Event(), asyncio.Event()
    heard = asyncio.Queue[bytes]()
    made, shutdown = BoundedConnection.connection_made, BoundedConnection.shutdown
    received = BoundedConnection.data_received

    @app.get("/")
    async def answer() -> str:
        return "answered"

    def accept(connection: BoundedConnection, transport: asyncio.Transport) -> None:
        made(connection, transport)
        accepted.set()

    def hear(connection: BoundedConnection, data: bytes) -> None:
        received(connection, data)
        heard.put_nowait(data)

    def tell(connection: BoundedConnection) -> None:
        shutdown(connection)
        told.set()

    monkeypatch.setattr(BoundedConnection, "connection_made", accept)
    monkeypatch.setattr(BoundedConnection, "data_received", hear)
    monkeypatch.setattr(BoundedConnection, "shutdown", tell)

    async def served(url: asyncio.Future[str]) -> None:
        async with serve(app) as base_url:
            url.set_result(base_url)
            await over.wait()

    url = asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(served(url))

    async def end() -> None:
        over.set()
        await serving

    yield Ending(await url, accepted, heard, told, end)
    await end()


async def test_whoever_had_just_connected_when_the_server_ends_is_answered_and_then_hung_up_on(ending: Ending) -> None:
    async with connected(ending.url) as (reader, writer):
        await ending.accepted.wait()
        ended = asyncio.ensure_future(ending.end())
        await ending.told.wait()
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n\r\n")

        answer = await reader.read()
        assert answer.startswith(b"HTTP/1.1 200")
        assert answer.endswith(b'"answered"')
        await ended


async def test_whoever_had_begun_a_further_head_when_the_server_ends_is_answered(ending: Ending) -> None:
    whole = b"GET / HTTP/1.1\r\nHost: x\r\n\r\n"
    async with connected(ending.url) as (reader, writer):
        writer.write(whole)
        await reader.readuntil(b'"answered"')
        assert await ending.heard.get() == whole
        writer.write(whole[:10])
        assert await ending.heard.get() == whole[:10]
        ended = asyncio.ensure_future(ending.end())
        await ending.told.wait()
        writer.write(whole[10:])

        assert (await reader.read()).endswith(b'"answered"')
        await ended


async def test_whoever_says_nothing_does_not_keep_the_server_from_ending(ending: Ending) -> None:
    async with connected(ending.url) as (reader, _):
        await ending.accepted.wait()
        await ending.end()
        assert await reader.read() == b""


async def test_a_head_that_never_ends_is_cut_off_with_431(base_url: str) -> None:
    async with connected(base_url) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHost: x\r\n")
        began, answer = time.monotonic(), b""
        sent = 0
        while not answer:
            writer.write(b"x-flood: " + b"x" * 8000 + b"\r\n")
            sent += 8011
            await asyncio.sleep(0)
            assert sent < 10_000_000
            if reader._buffer or reader.at_eof():  # type: ignore[attr-defined] # nothing else tells without waiting
                answer = await reader.read(4096)
        assert answer.startswith(b"HTTP/1.1 431")
        assert b"/problems/header_fields_too_large" in answer
        assert time.monotonic() - began < 2


async def test_one_header_that_never_ends_is_cut_off_as_well(base_url: str) -> None:
    async with connected(base_url) as (reader, writer):
        writer.write(b"GET /" + b"x" * 100_000)
        assert (await reader.readline()).startswith(b"HTTP/1.1 431")


async def test_a_head_that_dribbles_in_is_408_and_silence_is_hung_up_on(
    base_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedConnection, "head_seconds", 0.2)
    async with connected(base_url) as (reader, writer):
        writer.write(b"GET / HTTP/1.1\r\nHo")
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")
    async with connected(base_url) as (reader, _):
        assert await reader.read() == b""


async def test_the_head_of_a_further_request_has_its_own_time(base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedConnection, "head_seconds", 0.2)
    whole = f"GET /things/{ID} HTTP/1.1\r\nHost: x\r\n\r\n".encode()
    async with connected(base_url) as (reader, writer):
        for _ in range(3):
            await asyncio.sleep(0.15)
            writer.write(whole)
            assert (await reader.readline()).startswith(b"HTTP/1.1 200")
            await reader.readuntil(b"}")
        writer.write(whole[:20])
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")


async def test_what_is_no_http_is_answered_with_a_problem(base_url: str) -> None:
    async with connected(base_url) as (reader, writer):
        writer.write(b"\x16\x03\x01 hello\r\n\r\n")
        answer = await reader.read()
    assert answer.startswith(b"HTTP/1.1 400")
    assert b"content-type: application/problem+json" in answer


async def test_trailers_are_not_kept(base_url: str) -> None:
    head = f"POST /things/{ID}/pause HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n".encode()
    async with connected(base_url) as (reader, writer):
        writer.write(head + b"x-flood: x\r\n" * 10_000 + b"\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 204")


async def test_who_goes_on_sending_after_the_answer_is_hung_up_on(base_url: str) -> None:
    async with connected(base_url) as (reader, writer):
        writer.write(b"POST /things HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\nx")
        assert (await reader.readline()).startswith(b"HTTP/1.1 413")
        with pytest.raises(ConnectionError):
            await _sending_for_ever(writer)


async def _sending_for_ever(writer: asyncio.StreamWriter) -> None:
    while True:
        writer.write(b"x" * 65_536)
        await writer.drain()
        await asyncio.sleep(0)


async def test_a_query_of_very_many_parameters_is_400(base_url: str) -> None:
    async with connected(base_url) as (reader, writer):
        for count, status in ((1000, b"200"), (1001, b"400")):
            query = "&".join(["name=x", *["a=1"] * (count - 1)])
            writer.write(f"GET /search?{query} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
            assert (await reader.readline()).startswith(b"HTTP/1.1 " + status)
            await reader.readuntil(b"}")


async def test_empty_lines_behind_an_answer_hold_no_connection(base_url: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(BoundedConnection, "head_seconds", 0.2)
    async with connected(base_url) as (reader, writer):
        writer.write(f"GET /things/{ID} HTTP/1.1\r\nHost: x\r\n\r\n".encode())
        await reader.readuntil(b"}")
        writer.write(b"\r\n")
        assert (await reader.readline()).startswith(b"HTTP/1.1 408")


async def test_a_refused_body_that_dribbles_in_behind_its_answer_holds_no_connection(
    base_url: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(BoundedConnection, "head_seconds", 0.2)
    async with connected(base_url) as (reader, writer):
        writer.write(b"POST /things HTTP/1.1\r\nHost: x\r\nContent-Length: 999999999\r\n\r\nx")
        await reader.readuntil(b"}")
        writer.write(b"x")
        assert await reader.read() == b""

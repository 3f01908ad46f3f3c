"""The server that a process answers HTTP with, while nothing happens and when it is told to end."""

import asyncio
from datetime import datetime
from email.utils import parsedate_to_datetime
from types import SimpleNamespace

import aiohttp
import pytest
from fastapi import FastAPI

from shared.kit.http import server as servers
from shared.kit.http.server import Server
from tests.conftest import eventually

_SETTINGS = SimpleNamespace(http_host="127.0.0.1", http_port=0, shutdown_grace=1.0)


async def test_it_hears_at_once_that_it_is_to_end_and_rests_until_then(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_TICK_SECONDS", 3600.0)
    server, ticks = Server(FastAPI(), _SETTINGS), list[int]()

    async def on_tick(counter: int) -> bool:
        ticks.append(counter)
        return server.should_exit

    monkeypatch.setattr(server, "on_tick", on_tick)
    running = asyncio.create_task(server.main_loop())
    while not ticks:  # noqa: ASYNC110 -- its own first tick, and no event of ours
        await asyncio.sleep(0)
    server.should_exit = True
    async with asyncio.timeout(10):
        await running

    assert ticks == [0, 10], "each tick is one with which uvicorn renews the date"


async def test_answers_carry_the_date_also_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(servers, "_TICK_SECONDS", 0.01)
    server = Server(FastAPI(), _SETTINGS)
    running = asyncio.create_task(server.serve())

    async def started() -> bool:
        return server.started

    await eventually(started)
    port = server.servers[0].sockets[0].getsockname()[1]
    async with aiohttp.ClientSession() as session:

        async def date() -> datetime:
            async with session.get(f"http://127.0.0.1:{port}/") as answer:
                return parsedate_to_datetime(answer.headers["Date"])

        first = await date()

        async def later() -> bool:
            return await date() > first

        await eventually(later)
    server.should_exit = True
    await running

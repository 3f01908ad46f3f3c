"""Clocks that jump: leases and due times are the database's, deadlines monotonic, wall clocks for people."""

import itertools
import time
from datetime import UTC, datetime, timedelta, tzinfo
from types import SimpleNamespace

import pytest

from services.webhook_dispatcher.clients import sender
from services.webhook_dispatcher.domain import CircuitRule
from services.webhook_dispatcher.use_cases import sending
from services.webhook_dispatcher.workers import DeliveryWorker, Limits, Rules, delivery
from tests.conftest import eventually

from .receiver import Receiver, status
from .test_gate import nothing_is_open
from .world import World, _running

COUNT = 40
NEVER = CircuitRule(failures=10**6)


class Jumping(datetime):
    """Every look at this clock is days off the one before, ahead or behind."""

    days = itertools.cycle([0, 3, -3, 30, -30, 400])

    @classmethod
    def now(cls, tz: tzinfo | None = None) -> "Jumping":
        moment = datetime.now(tz or UTC) + timedelta(days=next(cls.days))
        return cls.fromtimestamp(moment.timestamp(), tz or UTC)


async def test_wall_clocks_that_jump_neither_stop_deliveries_nor_double_them(
    world: World, receiver: Receiver, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in (sender, delivery):
        monkeypatch.setattr(module, "datetime", Jumping)
    monkeypatch.setattr(sending, "time", SimpleNamespace(time=lambda: Jumping.now().timestamp()))
    subscribed = await world.subscribed(receiver.url)
    await world.waiting_for(subscribed.id, COUNT)
    receiver.answers.extend([status(500), status(429, Retry_After="0")] * (COUNT // 4))
    async with world.dispatching(circuit=NEVER), world.dispatching(circuit=NEVER):
        await eventually(lambda: nothing_is_open(world))

    assert {state for state, _ in await world.states()} == {"DELIVERED"}
    assert len(receiver.sent) == COUNT + COUNT // 2, "nothing was sent but what was asked for, and its retries"
    assert "LOST" not in {each.outcome for each in await world.attempts()}


async def test_a_process_that_wakes_up_hours_later_sends_what_it_had_claimed_once(
    world: World, receiver: Receiver
) -> None:
    """Its monotonic clock runs on in jumps: whatever it had claimed before one is handed back and claimed anew."""
    looks = itertools.count(1)
    slept = 0.0

    def clock() -> float:
        nonlocal slept
        if next(looks) in range(10, 200, 10):
            slept += 3600
        return time.monotonic() + slept

    subscribed = await world.subscribed(receiver.url)
    await world.waiting_for(subscribed.id, COUNT)
    endpoints = world.endpoints()
    worker = DeliveryWorker(world.database, endpoints, Limits(), Rules([0.05], NEVER), clock)
    await endpoints.sender.open()
    async with _running(worker.run):
        await eventually(lambda: nothing_is_open(world))
    await endpoints.sender.close()

    assert slept > 0
    assert {state for state, _ in await world.states()} == {"DELIVERED"}
    assert len({sent.message_id for sent in receiver.sent}) == len(receiver.sent) == COUNT

"""An event that is waited for so long at most."""

import asyncio

import pytest

from shared.kit.timed_event import TimedEvent

_LONG, _SHORT = 60.0, 0.01


async def test_a_wait_answers_whether_the_event_was_set_in_time() -> None:
    event = TimedEvent()
    assert not await event.wait(_SHORT)

    event.set()
    assert await event.wait(0)
    assert await event.wait(_LONG), "it stays set until it is cleared"

    event.clear()
    assert not await event.wait(0)


async def test_all_who_wait_go_on_at_once_when_it_is_set() -> None:
    event = TimedEvent()
    waiting = [asyncio.create_task(event.wait(_LONG)) for _ in range(3)]
    await asyncio.sleep(0)
    event.set()

    async with asyncio.timeout(_LONG / 2):
        assert await asyncio.gather(*waiting) == [True, True, True]


async def test_who_is_cancelled_while_waiting_ends_so_and_the_others_are_told() -> None:
    event = TimedEvent()
    leaving, staying = (asyncio.create_task(event.wait(_LONG)) for _ in range(2))
    await asyncio.sleep(0)
    leaving.cancel()
    with pytest.raises(asyncio.CancelledError):
        await leaving

    event.set()
    async with asyncio.timeout(_LONG / 2):
        assert await staying


async def test_without_time_it_gives_way_once() -> None:
    event = TimedEvent()
    turns: list[str] = []
    asyncio.get_running_loop().call_soon(turns.append, "another's turn")

    assert not await event.wait(0)
    assert turns, "a loop that waits for no time must not shut everybody out"

"""The clock: what keeps the picture fresh, one loop for each part of it."""

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AbstractAsyncContextManager, nullcontext
from functools import partial
from typing import Final, TypeVar

from aiokafka.errors import KafkaError

from services.ops_console.clients import Groups, ParkedTail, Reach, Trouble
from services.ops_console.use_cases import Watch
from shared.kit.liveness import Beat

#: seconds between two looks while somebody looks at the picture, and while nobody does
_EVERY: Final = {"groups": 1.5, "parked messages": 1.0, "outboxes": 3.0, "subscriptions": 5.0, "topics": 5.0}
_UNWATCHED: Final = 10.0
#: how long one look may take
_LOOK_SECONDS: Final = 30.0
#: how soon it is noticed that somebody looks again
_NOTICED: Final = 0.5

Opened = TypeVar("Opened")
Loop = Callable[[Beat], Awaitable[None]]


def watching(watch: Watch, reach: Reach) -> dict[str, Loop]:
    """The loops by the part that they look at; each runs until it is cancelled."""
    kafka, loop = reach.kafka, partial(_loop, watch, reach)
    return {
        "groups": loop("groups", lambda: Groups.of(kafka), watch.look_at_groups),
        "parked messages": loop("parked messages", lambda: ParkedTail.of(kafka), watch.look_at_parked),
        "topics": loop("topics", nullcontext, lambda _: watch.look_at_topics()),
        "outboxes": loop("outboxes", reach.services, watch.look_at_services),
        "subscriptions": loop("subscriptions", reach.services, watch.look_at_subscriptions),
    }


def _loop(
    watch: Watch,
    reach: Reach,
    part: str,
    opens: Callable[[], AbstractAsyncContextManager[Opened]],
    look: Callable[[Opened], Awaitable[None]],
) -> Loop:
    """Look again and again; what fails is told in the picture, and begun anew."""

    async def run(beat: Beat) -> None:
        while True:
            try:
                async with opens() as opened:
                    while True:
                        async with asyncio.timeout(_LOOK_SECONDS):
                            await look(opened)
                        await _pause(watch, _EVERY[part], beat)
            except (Trouble, KafkaError, TimeoutError, OSError) as fault:
                watch.could_not(part, _sentence(reach, fault))
                await _pause(watch, _EVERY[part], beat)

    return run


async def _pause(watch: Watch, seconds: float, beat: Beat) -> None:
    beat()
    passed, hurries = 0.0, watch.hurries
    while watch.hurries == hurries and passed < (seconds if watch.is_watched else _UNWATCHED):
        await asyncio.sleep(_NOTICED)
        passed += _NOTICED


def _sentence(reach: Reach, fault: BaseException) -> str:
    if isinstance(fault, Trouble):
        return str(fault)
    return f"Kafka at {reach.kafka.bootstrap} does not do what it is asked ({type(fault).__name__})."

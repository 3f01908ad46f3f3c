"""How long the console takes to look at everything, with its own code and without its pages.

Run as `python -m deploy.local.bench.looking BOOTSTRAP TIMES`; prints the seconds of each look, by what was looked at.
"""

from __future__ import annotations

import json
import sys
import time
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, Any

import uvloop

from shared.kit.kafka import Kafka
from shared.kit.logs import configure_logs

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

#: how it is told of groups, parked messages and topics
LOOKS = ("groups", "parked", "topics")


async def _look(bootstrap: str, times: int) -> dict[str, list[float]]:
    # Like every part of deploy/local, this knows the services by their names alone.
    clients: Any = import_module("services.ops_console.clients")
    kafka = Kafka(bootstrap, client_id="bench")
    watch = import_module("services.ops_console.use_cases").Watch(kafka)
    async with clients.Groups.of(kafka) as groups, clients.ParkedTail.of(kafka) as tail:
        looks: tuple[Callable[[], Awaitable[None]], ...] = (
            partial(watch.look_at_groups, groups),
            partial(watch.look_at_parked, tail),
            watch.look_at_topics,
        )
        return {name: [await _seconds(look) for _ in range(times)] for name, look in zip(LOOKS, looks, strict=True)}


async def _seconds(look: Callable[[], Awaitable[None]]) -> float:
    began = time.monotonic()
    await look()
    return time.monotonic() - began


if __name__ == "__main__":
    configure_logs("bench-looking", "ERROR")
    print(json.dumps(uvloop.run(_look(sys.argv[1], int(sys.argv[2])))))

"""The console's pages over more than any installation has, without Kafka, which `make bench` fills with as much.

`python -m tests.unit.ops_console.crowd PORT TOKEN` serves them; with every line on stdin each part is looked at once
more, and a line on stdout says how often the groups were looked at, how long it took, and what the process holds.
"""

import asyncio
import json
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psutil
import uvloop

from deploy.local.bench.crowding import DETAIL, GROUPS, PARKED, PARTITIONS, REASONS, group
from deploy.local.ports import LOOPBACK
from services.ops_console.clients import First, Reach, TopicSeen
from services.ops_console.domain import Look, ParkedSeen, SubscriptionSeen
from services.ops_console.pages import Access, serve_pages
from services.ops_console.use_cases import Watch
from shared.kit.kafka import Kafka
from shared.kit.liveness import Beat

SUBSCRIPTIONS = 1_000
_EACH = PARTITIONS // GROUPS


@dataclass(frozen=True)
class _Listening:
    http_port: int
    http_host: str = LOOPBACK
    shutdown_grace: float = 2.0


class _Groups:
    """Groups that fall behind further with every look."""

    def __init__(self) -> None:
        self.looks = 0

    async def names(self) -> list[str]:
        return list(map(group, range(GROUPS)))

    async def look(self, groups: Sequence[str]) -> tuple[dict[str, int], dict[tuple[str, str, int], Look]]:
        self.looks += 1
        looks = {
            (group, f"topic.{n:02}.v1", partition): Look(0, 1_000 * self.looks + partition, 3)
            for n, group in enumerate(groups)
            for partition in range(_EACH)
        }
        return dict.fromkeys(groups, 3), looks

    async def firsts(self, looks: Mapping[tuple[str, str, int], Look]) -> dict[tuple[str, str, int], First]:
        return dict.fromkeys(looks, First(10.0 * self.looks))


class _Tail:
    """All that is parked, once."""

    def __init__(self) -> None:
        self.left = PARKED

    async def more(self) -> Any:
        while self.left:
            self.left -= 1
            n = PARKED - self.left
            yield ParkedSeen(
                id=f"{group(n % GROUPS)}/topic.v1/{n % 12}/{n}",
                group=group(n % GROUPS),
                reason=REASONS[n % len(REASONS)],
                detail=DETAIL,
                topic="topic.v1",
                partition=n % 12,
                offset=n,
                attempts=1,
                at=datetime.fromtimestamp(n, UTC),
                stamped=float(n),
            )


def _topics(looks: int) -> list[TopicSeen]:
    return [
        TopicSeen(f"topic.{n:03}.v1", 12, 3, 1_000 * looks, 10.0, "604800000", datetime.now(UTC)) for n in range(200)
    ]


def _subscriptions() -> list[SubscriptionSeen]:
    return [
        SubscriptionSeen(
            *(str(n), "client", f"subscription {n}", "example.com"),
            enabled=True,
            disabled_reason=None,
            paused_at=None,
            circuit="OPEN" if n % 10 == 0 else "CLOSED",
            failing_since=None,
            waiting=n,
            waiting_at_least=False,
            overdue_seconds=1.0,
            attempts=50,
            delivered=49,
            p95_seconds=0.2,
        )
        for n in range(SUBSCRIPTIONS)
    ]


def _watching(watch: Watch, _: Reach) -> dict[str, Any]:
    groups: Any = _Groups()
    tail: Any = _Tail()

    async def looking(beat: Beat) -> None:
        reader = asyncio.StreamReader()
        await asyncio.get_running_loop().connect_read_pipe(lambda: asyncio.StreamReaderProtocol(reader), sys.stdin)
        while await reader.readline():
            began = time.perf_counter()
            await watch.look_at_groups(groups)
            await watch.look_at_parked(tail)
            watch._show("topics", topics=_topics(groups.looks))
            watch._show("subscriptions", subscriptions=_subscriptions())
            beat()
            told = {"looks": groups.looks, "seconds": round(time.perf_counter() - began, 3)}
            sys.stdout.write(json.dumps({**told, "resident": psutil.Process().memory_info().rss}) + "\n")
            sys.stdout.flush()

    return {"looking": looking}


def _main(port: str, token: str) -> None:
    reach = Reach(Kafka("127.0.0.1:1"), {}, None, None)
    access = Access(token, hours=1.0, secure=False, guesses=10)
    uvloop.run(serve_pages(reach, access, _Listening(int(port)), _watching))


if __name__ == "__main__":
    _main(*sys.argv[1:])

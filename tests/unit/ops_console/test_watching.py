"""The one picture: what is away is told, since when it is, and it is looked at no more often than somebody needs."""

import asyncio
import time
from datetime import UTC, datetime, timedelta
from functools import partial

import pytest

from services.ops_console.clients import Reach
from services.ops_console.use_cases import Watch
from services.ops_console.workers import watching
from shared.kit.kafka import Kafka
from tests.conftest import eventually

NOWHERE = "127.0.0.1:1"
BEGAN = datetime(2026, 1, 31, 12, tzinfo=UTC)


async def test_what_is_away_is_told_once_whatever_depends_on_it() -> None:
    reach = Reach(Kafka(NOWHERE), {"config_service": f"http://{NOWHERE}"}, "one", "its secret")
    watch, beats = Watch(reach.kafka), set[str]()
    loops = watching(watch, reach)
    tasks = [asyncio.ensure_future(loop(partial(beats.add, name))) for name, loop in loops.items()]

    async def all_were_tried() -> bool:
        return beats == loops.keys()

    await eventually(all_were_tried)
    assert not [task for task in tasks if task.done()], "they go on trying"
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)

    told = {finding.where: finding.what for finding in watch.picture.findings}
    assert told.keys() == {"Kafka", "config_service"}
    assert told["Kafka"].startswith(f"Kafka at {NOWHERE} does not do what it is asked")
    assert told["config_service"].startswith(f"config_service does not answer at http://{NOWHERE}")
    assert "its secret" not in repr(watch.picture)
    assert not watch.picture.seen_at


def test_a_finding_keeps_the_time_at_which_it_was_found() -> None:
    now = [BEGAN]
    watch = Watch(Kafka(NOWHERE), clock=lambda: now[0])
    for minute in range(3):
        now[0] = BEGAN + timedelta(minutes=minute)
        watch.could_not("topics", "Kafka is away.")
    assert [finding.since for finding in watch.picture.findings] == [BEGAN]
    assert watch.picture.version == 3


def test_nobody_watches_once_nobody_has_looked_for_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    watch = Watch(Kafka(NOWHERE))
    assert not watch.is_watched
    watch.look()
    assert watch.is_watched
    later = time.monotonic() + 16
    monkeypatch.setattr(time, "monotonic", lambda: later)
    assert not watch.is_watched

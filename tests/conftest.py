"""The real Kafka and PostgreSQL that the tests share, and what keeps their data apart."""

import asyncio
import functools
import inspect
import os
import signal
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import uuid4

import psutil
import pytest
import structlog
from hypothesis import HealthCheck, settings

from deploy.local.services import CONSOLE, service_names
from deploy.local.stack import FOLDER_VARIABLE, Stack, local_stack
from shared.kit import schema
from shared.kit.inbox import keep_partitions
from shared.kit.kafka import Kafka
from shared.kit.outbox import Outbox
from shared.kit.settings import async_url
from shared.kit.unit_of_work import Database

from .distribution import BySystem, sort_longest_first

PARTITIONS = 3
#: what services import, and programs of the tests that run in their place, for a leash on which many are started
PRELOADED = [*(f"services.{name}.app" for name in (*service_names(), CONSOLE)), "tests"]

# How long an example takes says how busy the machine is; and a failure tells what repeats it.
settings.register_profile("here", deadline=None, suppress_health_check=[HealthCheck.too_slow], print_blob=True)
settings.load_profile("here")

_MEMORY = Path("/dev/shm")  # noqa: S108 -- each stack makes a folder of its own in it, under a name that nobody knows
#: in bytes; what all workers have kept at once came to less than half of it
_ROOM_IN_MEMORY = 12 * 1024**3

#: how long before the alarm of pytest-timeout a coroutine is cancelled
_BEFORE_THE_ALARM = 15.0


def pytest_configure() -> None:
    """Say what the whole run rests on."""
    _keep_data_in_memory()
    # Ctrl-C ends what tests start: where a shell began this run in the background, all of it would ignore that.
    signal.signal(signal.SIGINT, signal.default_int_handler)
    # A fault that is logged here is told as Python tells it. By itself structlog draws it with all variables of all
    # frames, where Rich is installed, and takes seconds for each.
    renderer = structlog.get_config()["processors"][-1]
    renderer.exception_formatter = structlog.dev.plain_traceback


def _keep_data_in_memory() -> None:
    """Let Kafka and PostgreSQL keep their files in memory where there is plenty.

    A run makes a hundred thousand of them. Where the file system looks for inodes that were not deleted lately, as ext4
    does without a journal, that alone takes a tenth of the run.
    """
    if FOLDER_VARIABLE not in os.environ and _MEMORY.is_dir():
        room = min(psutil.disk_usage(str(_MEMORY)).free, psutil.virtual_memory().available)
        if room > _ROOM_IN_MEMORY:
            os.environ[FOLDER_VARIABLE] = str(_MEMORY)


def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> BySystem:
    """Let tests that share a running system run in one worker."""
    return BySystem(config, log)


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Let the longest tests begin; let a coroutine that takes too long be cancelled where it waits, before the alarm.

    The alarm leaves the coroutine behind in the event loop that all tests share, where it runs on beside the tests
    after it, and one that rings while such a leftover runs is lost in it: the next test that waits then waits for ever.
    """
    sort_longest_first(items)
    usual = float(config.getini("timeout"))
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.obj):
            marker = item.get_closest_marker("timeout")
            seconds = float(marker.args[0]) if marker and marker.args else usual
            item.obj = _cancelled_after(seconds - _BEFORE_THE_ALARM, item.obj)


def _cancelled_after(seconds: float, test: Callable[..., Awaitable[None]]) -> Callable[..., Awaitable[None]]:
    if hasattr(test, "hypothesis"):
        return test  # its examples are many, each in its own time

    @functools.wraps(test)
    async def bounded(*args: Any, **kwargs: Any) -> None:
        async with asyncio.timeout(seconds):
            await test(*args, **kwargs)

    return bounded


@pytest.fixture(scope="session")
def stack() -> Iterator[Stack]:
    with local_stack(preloaded=PRELOADED) as running:
        yield running


@pytest.fixture
def kafka(stack: Stack) -> Kafka:
    """Kafka under a prefix of the test's own."""
    return Kafka(stack.kafka, f"t{uuid4().hex[:10]}.", client_id="test")


@pytest.fixture
def fresh_database(stack: Stack) -> Callable[[], str]:
    """Makes empty databases; answers the DSN."""
    return lambda: stack.create_database(f"t_{uuid4().hex[:12]}")


@pytest.fixture(scope="session")
def migrated_database(stack: Stack) -> Callable[[str | None], Awaitable[str]]:
    """Makes databases with the tables of the service in a package (None: the kit's alone); answers the DSN.

    They are copied from one that is migrated, which takes less than half of the time of migrating each.
    """
    templates: dict[str | None, str] = {}

    async def made(package: str | None) -> str:
        if package not in templates:
            name = f"template_{uuid4().hex[:12]}"
            await schema.migrate(async_url(stack.create_database(name)), package)
            templates[package] = name
        return stack.create_database(f"t_{uuid4().hex[:12]}", templates[package])

    return made


@pytest.fixture
async def database(migrated_database: Callable[[str | None], Awaitable[str]]) -> AsyncIterator[Database]:
    """A database with the kit's tables alone."""
    made = Database(async_url(await migrated_database(None)), Outbox("/test", PARTITIONS), application="test")
    await keep_partitions(made)
    yield made
    await made.close()


async def eventually(condition: Callable[[], Awaitable[Any]], *, seconds: float = 20.0, every: float = 0.02) -> Any:
    """What `condition` answers as soon as that is true; fails with its last answer after the deadline."""
    deadline = time.monotonic() + seconds
    while not (answer := await condition()):
        if time.monotonic() > deadline:
            pytest.fail(f"not within {seconds} s: {condition.__qualname__} answers {answer!r}")
        await asyncio.sleep(every)
    return answer

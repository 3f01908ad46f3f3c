"""The demo is a proof only if it fails as soon as any one part of the system does not work."""

import asyncio
import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from io import StringIO
from pathlib import Path
from uuid import uuid4

import pytest
from rich.console import Console

from deploy.local.demo.__main__ import play, switched_off
from deploy.local.demo.telling import Teller
from deploy.local.services import RunningSystem
from deploy.local.stack import KAFKA_VARIABLE, POSTGRES_VARIABLE, Stack
from tests.services import all_parts

ROOT = Path(__file__).parents[2]


async def demo(stack: Stack, *options: str) -> tuple[int | None, str]:
    """Run the demo on the tests' stack; answers its exit status and what it said."""
    process = await asyncio.create_subprocess_exec(
        sys.executable, "-m", "deploy.local.demo", "--prefix", f"d{uuid4().hex[:8]}_", *options,
        cwd=ROOT,
        env={**os.environ, KAFKA_VARIABLE: stack.kafka, POSTGRES_VARIABLE: stack.postgres},
        stdout=asyncio.subprocess.PIPE,
        stderr=asyncio.subprocess.STDOUT,
    )  # fmt: skip
    try:
        async with asyncio.timeout(110):
            said, _ = await process.communicate()
    finally:
        if process.returncode is None:
            process.terminate()
            await process.wait()
    return process.returncode, said.decode()


async def test_the_story_holds(stack: Stack) -> None:
    status, said = await demo(stack)

    assert status == 0, said
    assert "The story holds" in said


async def test_a_story_that_breaks_ends_with_status_1(stack: Stack) -> None:
    status, said = await demo(stack, "--without", "config_service.relay", "--patience", "3")

    assert status == 1, said
    assert "The story does not hold: step " in said


@contextmanager
def without(system: RunningSystem, part: str) -> Iterator[None]:
    """The service that `part` belongs to, restarted without it for the length of the block."""
    ((service, environment),) = switched_off(part).items()
    system.services[service].stop()
    system.start(service, environment=environment).wait_ready()
    try:
        yield
    finally:
        system.services[service].stop()
        system.start(service).wait_ready()


@pytest.mark.parametrize("part", all_parts())
async def test_without_any_one_part_the_story_breaks_and_names_the_step(system: RunningSystem, part: str) -> None:
    said = StringIO()
    teller = Teller(Console(file=said), patience=5)
    with without(system, part), pytest.raises(Exception, match=r".+"):
        await play(system, system.environment["PORTFOLIO_BUS_TOPIC_PREFIX"], teller)

    assert teller.broken is not None, said.getvalue()
    assert teller.broken.startswith("step ")

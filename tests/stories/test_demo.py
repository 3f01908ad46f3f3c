"""The demo is a proof only if it fails as soon as any one part of the system does not work."""

import asyncio
import os
import sys
from collections.abc import Iterator, Mapping
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


class Parts:
    """The running system with one part switched off, one after the other; each start of a service costs seconds."""

    def __init__(self, system: RunningSystem) -> None:
        self.system = system
        self._touched: str | None = None

    def switch_off(self, part: str) -> None:
        """Leave out this part alone."""
        ((service, environment),) = switched_off(part).items()
        if self._touched not in {None, service}:
            self.switch_on()
        self._restart(service, environment)
        self._touched = service

    def switch_on(self) -> None:
        """Leave out nothing."""
        if self._touched:
            self._restart(self._touched, {})
            self._touched = None

    def _restart(self, service: str, environment: Mapping[str, str]) -> None:
        self.system.services[service].stop()
        self.system.start(service, environment=environment).wait_ready()


@pytest.fixture(scope="module")
def parts(system: RunningSystem) -> Iterator[Parts]:
    made = Parts(system)
    yield made
    made.switch_on()


async def test_the_story_can_be_told_again_on_the_same_system(system: RunningSystem) -> None:
    """Or it would break for reasons of its own in the tests below."""
    for _ in range(2):
        said = StringIO()
        await play(system, system.environment["PORTFOLIO_BUS_TOPIC_PREFIX"], Teller(Console(file=said), patience=20))


@pytest.mark.parametrize("part", all_parts())
async def test_without_any_one_part_the_story_breaks_and_names_the_step(parts: Parts, part: str) -> None:
    system, said = parts.system, StringIO()
    teller = Teller(Console(file=said), patience=5)
    parts.switch_off(part)
    with pytest.raises(Exception, match=r".+"):
        await play(system, system.environment["PORTFOLIO_BUS_TOPIC_PREFIX"], teller)

    assert teller.broken is not None, said.getvalue()
    assert teller.broken.startswith("step ")

"""The demo is a proof only if it fails as soon as any one part of the system does not work."""

import asyncio
import os
import sys
from pathlib import Path
from uuid import uuid4

import pytest

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


@pytest.mark.parametrize("part", all_parts())
async def test_without_any_one_part_the_story_breaks_and_names_the_step(stack: Stack, part: str) -> None:
    status, said = await demo(stack, "--without", part, "--patience", "6")

    assert status == 1, said
    assert "The story does not hold: step " in said

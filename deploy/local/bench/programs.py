"""The benchmark's own programs: each a process of its own, on the leash of the stack."""

import asyncio
import os
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import psutil

from deploy.local.processes import SERVICE_RANK, Command, LeashedProcess
from deploy.local.services import REPOSITORY
from deploy.local.stack import Stack

_RUN_SECONDS = 300.0


@asynccontextmanager
async def program(stack: Stack, name: str, *arguments: object) -> AsyncIterator[psutil.Process]:
    """Run the module `deploy.local.bench.<name>` until the block ends."""
    process = LeashedProcess(stack.leash, _command(stack, name, arguments), lambda _: None)
    try:
        yield psutil.Process(process.pid)
    finally:
        await asyncio.to_thread(process.stop)


async def printed(stack: Stack, name: str, *arguments: object) -> str:
    """Run it to its end; answers its last line."""
    command = _command(stack, name, arguments)
    command.log.unlink(missing_ok=True)
    failed = await asyncio.to_thread(stack.leash.run, command, seconds=_RUN_SECONDS)
    lines = command.log.read_text().splitlines()
    if failed:
        raise SystemExit("\n".join([f"{name} failed:", *lines[-10:]]))
    return lines[-1]


def cpu_seconds(processes: list[psutil.Process]) -> float:
    """The processor time that these have used."""
    return float(sum(sum(process.cpu_times()[:2]) for process in processes))


def _command(stack: Stack, name: str, arguments: tuple[object, ...]) -> Command:
    return Command(
        name=f"bench-{name}",
        argv=[sys.executable, "-m", f"deploy.local.bench.{name}", *map(str, arguments)],
        log=stack.directory / f"bench-{name}.log",
        env=dict(os.environ),
        cwd=REPOSITORY,
        rank=SERVICE_RANK,
        grace=15.0,
    )

"""What the services cost while nothing happens."""

import asyncio

import psutil

from deploy.local.bench.figures import Figure
from deploy.local.services import RunningSystem

_SECONDS = 10.0
#: until groups have settled and lazy parts have started
_SETTLE = 10.0
_MIB = 1024 * 1024


async def idle(system: RunningSystem, runs: int) -> list[Figure]:
    """Processor time and memory of all services together."""
    processes = [psutil.Process(service.pid) for service in system.services.values()]
    await asyncio.sleep(_SETTLE)
    shares = []
    for _ in range(runs):
        before = _cpu_seconds(processes)
        await asyncio.sleep(_SECONDS)
        shares.append((_cpu_seconds(processes) - before) / _SECONDS * 100)
    resident = sum(process.memory_info().rss for process in processes) / _MIB
    return [
        Figure("all services idle: of one core", "%", shares, limit=3, limit_is="promised"),
        Figure("all services: resident memory", "MiB", [resident], limit=450, limit_is="promised"),
    ]


def _cpu_seconds(processes: list[psutil.Process]) -> float:
    return sum(sum(process.cpu_times()[:2]) for process in processes)

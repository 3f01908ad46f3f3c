"""How long a service takes from its start until it is ready, on tables and topics that are there."""

import asyncio
import time

from deploy.local.bench.figures import Figure
from deploy.local.services import RunningSystem, service_names


async def starts(system: RunningSystem, runs: int) -> list[Figure]:
    """One more process of every service, one after the other, each ended again."""
    return [Figure(f"start of {name} until ready", "s", [await _start(system, name) for _ in range(runs)])
            for name in service_names()]  # fmt: skip


async def _start(system: RunningSystem, name: str) -> float:
    label = f"{name}-started"
    began = time.monotonic()
    process = system.start(name, label=label)
    try:
        await asyncio.to_thread(process.wait_ready)
        return time.monotonic() - began
    finally:
        await asyncio.to_thread(process.stop)
        del system.services[label]

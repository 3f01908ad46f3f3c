"""`make bench`: start the system, measure, print a table, keep the figures as JSON in `bench-results/`."""

from __future__ import annotations

import argparse
import asyncio
import json
import platform
import sys
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import asyncpg
import psutil
from rich.console import Console
from rich.table import Table

from deploy.local.bench.accounts import Bench
from deploy.local.bench.deletions import DELETIONS, deletions_at_a_rate, one_large_deletion
from deploy.local.bench.figures import Figure
from deploy.local.bench.idle import idle
from deploy.local.demo.upstream import upstream_of
from deploy.local.errors import ProcessFailedError, StackUnavailableError
from deploy.local.services import RunningSystem, running_system
from deploy.local.stack import local_stack
from shared.kit.kafka import Kafka

RESULTS = Path("bench-results")


def main(arguments: Sequence[str]) -> int:
    """Measure; answers the exit status, which says nothing about the figures."""
    chosen = _parser().parse_args(arguments)
    console = Console(highlight=False)
    console.print("starting Kafka, PostgreSQL and the services …")
    try:
        with local_stack() as stack, running_system(stack) as system:
            figures = asyncio.run(_measure(system, chosen.runs, chosen.deletions, console))
    except (StackUnavailableError, ProcessFailedError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    console.print(_table(figures))
    console.print(f"kept in {_keep(figures)}")
    return 0


async def _measure(system: RunningSystem, runs: int, deletions: int, console: Console) -> list[Figure]:
    kafka = Kafka(system.stack.kafka, client_id="bench")
    database = system.databases["order_service"]
    async with asyncpg.create_pool(database, min_size=2, max_size=8) as orders, upstream_of(system, kafka) as upstream:
        await upstream.sign_in()
        bench = Bench(system, upstream, orders)
        console.print("idle …")
        figures = await idle(system, runs)
        console.print("one deletion, 10,000 orders …")
        figures += await one_large_deletion(bench, kafka, runs)
        console.print(f"{deletions} deletions of 50 orders, {runs} times …")
        figures += await deletions_at_a_rate(bench, runs, deletions)
        return figures


def _table(figures: Sequence[Figure]) -> Table:
    table = Table(title="median of the repetitions; absolute figures are this machine's")
    for column in ("what", "median", "spread", "limit", "the limit is"):
        table.add_column(column, justify="left" if column in {"what", "the limit is"} else "right")
    for figure in figures:
        table.add_row(*figure.row())
    return table


def _keep(figures: Sequence[Figure]) -> Path:
    RESULTS.mkdir(exist_ok=True)
    file = RESULTS / f"{datetime.now(UTC):%Y%m%dT%H%M%SZ}.json"
    machine = {
        "processors": psutil.cpu_count(),
        "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
        "system": platform.platform(),
        "python": platform.python_version(),
    }
    document = {"machine": machine, "figures": [vars(figure) | {"median": figure.median} for figure in figures]}
    file.write_text(json.dumps(document, indent=2))
    return file


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.bench", description="Measure the running system.")
    parser.add_argument("--runs", type=int, default=3, help="repetitions of every measurement (default: 3)")
    parser.add_argument("--deletions", type=int, default=DELETIONS, help=f"deletions a run (default: {DELETIONS})")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

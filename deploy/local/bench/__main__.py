"""`make bench`: start the system, measure, print a table, keep the figures and pictures in `bench-results/`."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections.abc import Awaitable, Callable, Sequence

import asyncpg
from rich.console import Console

from deploy.local.bench.accounts import Bench
from deploy.local.bench.backlogs import backlog, isolation
from deploy.local.bench.cancellations import ACCOUNTS, ORDERS, cancellations
from deploy.local.bench.consoles import overviews
from deploy.local.bench.consumers import MESSAGES, consumers
from deploy.local.bench.deletions import DELETIONS, deletions_at_a_rate, one_large_deletion
from deploy.local.bench.deliveries import deliveries
from deploy.local.bench.fans import fan_out
from deploy.local.bench.figures import Figure
from deploy.local.bench.floods import REFUSED, flood
from deploy.local.bench.idle import idle
from deploy.local.bench.limits import limits
from deploy.local.bench.overhead import overhead
from deploy.local.bench.recovery import recovery
from deploy.local.bench.relay import ROWS, WAITING, Sizes, relay
from deploy.local.bench.requests import requests
from deploy.local.bench.results import keep, table
from deploy.local.bench.starts import starts
from deploy.local.demo.upstream import upstream_of
from deploy.local.errors import ProcessFailedError, StackUnavailableError
from deploy.local.services import RunningSystem, running_system
from deploy.local.stack import Stack, local_stack
from deploy.local.tree import commit_of_the_tree
from shared.kit.kafka import Kafka

#: these need Kafka and PostgreSQL alone, and have them to themselves
OF_THE_STACK = ("relay", "consumers")
OF_THE_SYSTEM = (
    "idle",
    "one-deletion",
    "deletions",
    "limits",
    "cancellations",
    "requests",
    "flood",
    "deliveries",
    "fan-out",
    "isolation",
    "backlog",
    "starts",
    "recovery",
    "overhead",
    "console",
)
MEASUREMENTS = (*OF_THE_STACK, *OF_THE_SYSTEM)
#: measured only when asked for: the one takes longer than all the others together, the other is of no service
APART = ("overhead", "console")
BY_DEFAULT = tuple(name for name in MEASUREMENTS if name not in APART)

Measurement = Callable[[], Awaitable[list[Figure]]]


def main(arguments: Sequence[str]) -> int:
    """Measure; answers the exit status, which says nothing about the figures."""
    chosen = _parser().parse_args(arguments)
    console = Console(highlight=False)
    names = chosen.only or BY_DEFAULT
    # Now, since others may commit while it runs.
    commit = commit_of_the_tree()
    measured: dict[str, list[Figure]] = {}
    try:
        # Each kind has a stack of its own: what the first has written is no burden of the second.
        if alone := [name for name in OF_THE_STACK if name in names]:
            console.print("starting Kafka and PostgreSQL …")
            with local_stack(throughput=True) as stack:
                measured |= asyncio.run(_of_the_stack(stack, alone, chosen, console))
        if whole := [name for name in OF_THE_SYSTEM if name in names]:
            console.print("starting Kafka, PostgreSQL and the services …")
            with local_stack(throughput=True) as stack, running_system(stack) as system:
                measured |= asyncio.run(_of_the_system(system, whole, chosen, console))
    except (StackUnavailableError, ProcessFailedError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    console.print(table([figure for figures in measured.values() for figure in figures]))
    console.print(f"kept in {keep(measured, commit)}")
    return 0


async def _of_the_stack(
    stack: Stack, names: Sequence[str], chosen: argparse.Namespace, console: Console
) -> dict[str, list[Figure]]:
    runs: int = chosen.runs
    measurements: dict[str, Measurement] = {
        "relay": lambda: relay(stack, runs, Sizes(chosen.rows, chosen.waiting)),
        "consumers": lambda: consumers(stack, runs, chosen.messages),
    }
    return await _measured(measurements, names, runs, console)


async def _of_the_system(
    system: RunningSystem, names: Sequence[str], chosen: argparse.Namespace, console: Console
) -> dict[str, list[Figure]]:
    kafka = Kafka(system.stack.kafka, client_id="bench")
    database = system.databases["order_service"]
    async with asyncpg.create_pool(database, min_size=2, max_size=8) as orders, upstream_of(system, kafka) as upstream:
        await upstream.sign_in()
        bench = Bench(system, upstream, orders)
        runs: int = chosen.runs
        measurements: dict[str, Measurement] = {
            "idle": lambda: idle(system, runs),
            "one-deletion": lambda: one_large_deletion(bench, kafka, runs),
            "deletions": lambda: deletions_at_a_rate(bench, runs, chosen.deletions),
            "limits": lambda: limits(bench, runs),
            "cancellations": lambda: cancellations(bench, kafka, runs, chosen.orders, chosen.accounts),
            "requests": lambda: requests(system, upstream, runs),
            "flood": lambda: flood(bench, kafka, runs, chosen.refused),
            "deliveries": lambda: deliveries(system, upstream, kafka, runs),
            "fan-out": lambda: fan_out(system, upstream, kafka, runs),
            "isolation": lambda: isolation(system, upstream, kafka, runs),
            "backlog": lambda: backlog(system, upstream, kafka),
            "starts": lambda: starts(system, runs),
            "recovery": lambda: recovery(bench, runs),
            "console": lambda: overviews(system, runs),
            "overhead": lambda: overhead(system, upstream, kafka, runs),
        }
        return await _measured(measurements, names, runs, console)


async def _measured(
    measurements: dict[str, Measurement], names: Sequence[str], runs: int, console: Console
) -> dict[str, list[Figure]]:
    measured = {}
    for name in names:
        console.print(f"{name}, {runs} times …")
        measured[name] = await measurements[name]()
    return measured


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.bench", description="Measure the running system.")
    parser.add_argument("--runs", type=int, default=3, help="repetitions of every measurement (default: 3)")
    parser.add_argument("--deletions", type=int, default=DELETIONS, help=f"deletions a run (default: {DELETIONS})")
    parser.add_argument("--orders", type=int, default=ORDERS, help=f"of one account, cancelled (default: {ORDERS})")
    parser.add_argument("--accounts", type=int, default=ACCOUNTS, help=f"of one allocation (default: {ACCOUNTS})")
    parser.add_argument("--refused", type=int, default=REFUSED, help=f"commands a flood (default: {REFUSED})")
    parser.add_argument("--rows", type=int, default=ROWS, help=f"rows that a relay publishes (default: {ROWS})")
    parser.add_argument(
        "--waiting", type=int, default=WAITING, help=f"rows of the relay's long backlog (default: {WAITING})"
    )
    parser.add_argument("--messages", type=int, default=MESSAGES, help=f"that a consumer takes (default: {MESSAGES})")
    parser.add_argument("--only", nargs="+", choices=MEASUREMENTS, help=f"these (default: all but {', '.join(APART)})")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

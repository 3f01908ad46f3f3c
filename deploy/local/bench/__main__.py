"""`make bench`: start the system, measure, print a table, keep the figures and pictures in `bench-results/`."""

from __future__ import annotations

import argparse
import asyncio
import logging
import sys
import time
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, field

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


@dataclass
class Run:
    """What was asked for, and what is measured so far."""

    chosen: argparse.Namespace
    console: Console
    began: float = field(default_factory=time.monotonic)
    measured: dict[str, list[Figure]] = field(default_factory=dict)


def main(arguments: Sequence[str]) -> int:
    """Measure; answers the exit status, which says nothing about the figures. Ctrl-C shows what there is by then."""
    chosen = _parser().parse_args(arguments)
    # A database that is killed is what `recovery` is about, and no news.
    logging.getLogger("asyncpg").setLevel(logging.CRITICAL)
    run = Run(chosen, Console(highlight=False))
    # Now, since others may commit while it runs.
    commit = commit_of_the_tree()
    try:
        _measure(run, chosen.only or BY_DEFAULT)
    except (StackUnavailableError, ProcessFailedError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        run.console.print("ended early")
    finally:
        if run.measured:
            run.console.print(table([figure for figures in run.measured.values() for figure in figures]))
            run.console.print(f"kept in {keep(run.measured, commit)}")
    return 0 if run.measured else 130


def _measure(run: Run, names: Sequence[str]) -> None:
    # Each kind has a stack of its own: what the first has written is no burden of the second.
    if alone := [name for name in OF_THE_STACK if name in names]:
        run.console.print("starting Kafka and PostgreSQL …")
        with local_stack(throughput=True) as stack:
            asyncio.run(_of_the_stack(stack, alone, run))
    if whole := [name for name in OF_THE_SYSTEM if name in names]:
        run.console.print("starting Kafka, PostgreSQL and the services …")
        with local_stack(throughput=True) as stack, running_system(stack) as system:
            asyncio.run(_of_the_system(system, whole, run))


async def _of_the_stack(stack: Stack, names: Sequence[str], run: Run) -> None:
    chosen, runs = run.chosen, run.chosen.runs
    measurements: dict[str, Measurement] = {
        "relay": lambda: relay(stack, runs, Sizes(chosen.rows, chosen.waiting)),
        "consumers": lambda: consumers(stack, runs, chosen.messages),
    }
    await _one_after_the_other(measurements, names, run)


async def _of_the_system(system: RunningSystem, names: Sequence[str], run: Run) -> None:
    chosen, runs = run.chosen, run.chosen.runs
    kafka = Kafka(system.stack.kafka, client_id="bench")
    database = system.databases["order_service"]
    async with asyncpg.create_pool(database, min_size=2, max_size=8) as orders, upstream_of(system, kafka) as upstream:
        bench = Bench(system, upstream, orders)
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
        # A token lasts a quarter of an hour, which each of them is over within, and all of them are not.
        await _one_after_the_other(measurements, names, run, upstream.sign_in)


async def _one_after_the_other(
    measurements: dict[str, Measurement],
    names: Sequence[str],
    run: Run,
    before_each: Callable[[], Awaitable[object]] | None = None,
) -> None:
    for name in names:
        if before_each is not None:
            await before_each()
        run.console.print(f"{time.monotonic() - run.began:6.0f} s  {name}, {run.chosen.runs} times …")
        run.measured[name] = await measurements[name]()


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

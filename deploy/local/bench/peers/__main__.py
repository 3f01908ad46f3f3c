"""`make bench-peers`: our relay beside Debezium on one broker and one database; a table, and JSON."""

from __future__ import annotations

import argparse
import asyncio
import sys
from collections import defaultdict
from collections.abc import Sequence
from functools import partial

from rich.console import Console

from deploy.local.bench.backlog import Backlog, backlog
from deploy.local.bench.figures import Figure, percentile
from deploy.local.bench.peers.captured import captured, let_decode
from deploy.local.bench.peers.contestants import Contestant, OurRelay, started
from deploy.local.bench.peers.debezium import DEFAULT, TUNED, debezium_jars
from deploy.local.bench.peers.measuring import UNMEASURED_SECONDS, Measured, Sizes, measured, warm_up
from deploy.local.bench.programs import program
from deploy.local.bench.reading import latencies, reader
from deploy.local.bench.relaying import PER_SECOND
from deploy.local.bench.results import keep, table
from deploy.local.errors import ProcessFailedError, StackUnavailableError
from deploy.local.java import find_java
from deploy.local.stack import Stack, local_stack
from deploy.local.tree import commit_of_the_tree
from shared.kit.logs import configure_logs

#: rows that Debezium publishes before anything is measured: the JVM compiles what it runs often, which takes minutes of
#: a busy machine
WARM_UP = 500_000

#: the runs of what was measured, in which unit, with whom
Collected = dict[tuple[str, str, str], list[float]]


def main(arguments: Sequence[str]) -> int:
    """Measure; answers the exit status, which says nothing about the figures. Ctrl-C shows what there is by then."""
    chosen = _parser().parse_args(arguments)
    console = Console(highlight=False)
    configure_logs("bench-peers", "ERROR")
    collected: Collected = defaultdict(list)
    commit = commit_of_the_tree()
    try:
        find_java()
        debezium_jars()
        console.print("starting Kafka and PostgreSQL …")
        with local_stack(throughput=True) as stack:
            let_decode(stack)
            asyncio.run(_all(stack, chosen, console, collected))
    except (StackUnavailableError, ProcessFailedError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        console.print("ended early")
    if not collected:
        return 130
    figures = side_by_side(collected)
    console.print(table(figures))
    console.print(f"kept in {keep({'peers': figures}, commit, '-peers')}")
    return 0


async def _all(stack: Stack, chosen: argparse.Namespace, console: Console, collected: Collected) -> None:
    """Every contestant in turn, and then again: what else the machine does meets all of them."""
    sizes = Sizes(chosen.rows, chosen.seconds, chosen.per_second)
    async with backlog(stack, "bench_peers") as ours, captured(ours) as theirs:
        console.print("starting Kafka Connect twice …")
        async with started(stack, theirs, (DEFAULT, TUNED)) as debeziums:
            relay = OurRelay(stack, ours)
            contestants: list[Contestant] = [relay, *debeziums]
            for contestant in contestants:
                _tell(console, contestant.name, "warming up")
                # Nothing of ours becomes faster by what it has done before.
                await warm_up(contestant, chosen.rows if contestant is relay else chosen.warm_up)
            for number in range(1, chosen.runs + 1):
                for contestant in contestants:
                    tell = partial(_tell, console, f"{number} of {chosen.runs}, {contestant.name}")
                    found = await measured(stack, contestant, sizes, tell)
                    if contestant is relay:
                        for rate in (PER_SECOND, sizes.per_second):
                            tell(f"{rate} events a second, which its own process writes")
                            found |= await _told(stack, ours, rate, sizes.seconds)
                    for (what, unit), value in found.items():
                        collected[what, unit, contestant.name].append(value)


def _tell(console: Console, who: str, what: str) -> None:
    console.print(f"{who}: {what} …")


async def _told(stack: Stack, ours: Backlog, per_second: int, seconds: int) -> Measured:
    """Events that the relay's own process writes, as a service does: the relay is told of each."""
    unmeasured = per_second * UNMEASURED_SECONDS
    orders = unmeasured + per_second * seconds
    arguments = ours.dsn, ours.kafka.bootstrap, ours.kafka.prefix, orders, per_second
    async with reader(ours) as consumer, program(stack, "relaying", *arguments):
        waits = (await latencies(consumer, orders))[unmeasured:]
    return {
        (f"at {per_second}/s from its own process, p{each}", "ms"): percentile(waits, each) * 1000 for each in (50, 99)
    }


def side_by_side(collected: Collected) -> list[Figure]:
    """The figures, those of one kind below each other."""
    kinds = list(dict.fromkeys((what, unit) for what, unit, _ in collected))
    return [
        Figure(f"{what}: {name}", unit, runs)
        for kind in kinds
        for (what, unit, name), runs in collected.items()
        if (what, unit) == kind
    ]


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m deploy.local.bench.peers",
        description="Measure our relay beside Debezium's outbox event router.",
    )
    parser.add_argument("--runs", type=int, default=3, help="repetitions of every measurement (default: 3)")
    parser.add_argument("--rows", type=int, default=100_000, help="rows of a backlog (default: 100000)")
    parser.add_argument("--warm-up", type=int, default=WARM_UP, help=f"rows before (default: {WARM_UP})")
    parser.add_argument("--seconds", type=int, default=20, help="that single events are written for (default: 20)")
    parser.add_argument("--per-second", type=int, default=500, help="of them, in the busier part (default: 500)")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

"""Command line of the local stack: `python -m deploy.local up`."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from rich.console import Console

from deploy.local.errors import StackUnavailableError
from deploy.local.up import STACK_FILE, up


def main(arguments: list[str]) -> int:
    """Run a command and return its exit status: 1, with one sentence, where the stack cannot be had."""
    chosen = _parser().parse_args(arguments)
    try:
        up(
            Console(),
            brokers=chosen.brokers,
            throughput=chosen.throughput,
            directory=chosen.directory,
            stack_file=chosen.stack_file,
        )
    except StackUnavailableError as error:
        sys.stderr.write(f"{error}\n")
        return 1
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local", description=__doc__)
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    command = commands.add_parser("up", help="run Kafka, PostgreSQL and all services until Ctrl-C")
    command.add_argument("--brokers", type=int, default=1, help="how many Kafka brokers (default: 1)")
    command.add_argument("--throughput", action="store_true", help="let the broker's JVM optimise: for measuring")
    command.add_argument("--directory", type=Path, help="keep the data here for the next time (default: temporary)")
    command.add_argument("--stack-file", type=Path, default=STACK_FILE, help="where to say what runs")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

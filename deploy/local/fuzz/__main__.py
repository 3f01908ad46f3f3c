"""`make fuzz`: start the system, ask everything of it, print what came of it.

The exit status is the verdict: 0 if every check held, 1 if one did not, 2 if nothing could be started.
"""

from __future__ import annotations

import argparse
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from deploy.local.errors import ProcessFailedError, StackUnavailableError
from deploy.local.fuzz.campaign import Effort
from deploy.local.fuzz.stage import Listener, attack_all, fuzzed_system
from deploy.local.fuzz.verdicts import Verdict, operations_table, services_table
from deploy.local.stack import local_stack

RESULTS = Path(".local/fuzz")

_EXAMPLES = 200
_SECONDS = 880.0
_LARGEST_SEED = 2**32
#: The tables need it, also where the output goes into a file.
_WIDTH = 140


def main(arguments: Sequence[str]) -> int:
    """Ask everything; answers the exit status."""
    chosen = _parser().parse_args(arguments)
    seed = chosen.seed if chosen.seed is not None else time.time_ns() % _LARGEST_SEED
    console = Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, _WIDTH)
    console.print(
        f"seed {seed}: `make fuzz SEED={seed}` repeats this run\nstarting Kafka, PostgreSQL and the services …"
    )
    shutil.rmtree(RESULTS, ignore_errors=True)
    began = time.monotonic()
    try:
        with local_stack() as stack, fuzzed_system(stack, seed) as (system, world):
            console.print(f"{chosen.examples} examples for each operation of {len(system.urls)} services …")
            effort = Effort(chosen.examples, seed, _SECONDS)
            listener = Listener(system)
            verdicts = attack_all(system, world, RESULTS.resolve(), effort)
            logged = listener.faults()
    except (StackUnavailableError, ProcessFailedError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    _tell(console, verdicts, logged)
    clean = all(verdict.clean for verdict in verdicts) and not logged
    console.print(f"{'clean' if clean else 'NOT clean'}, seed {seed}, in {time.monotonic() - began:.0f} s")
    return 0 if clean else 1


def _tell(console: Console, verdicts: Sequence[Verdict], logged: Sequence[str]) -> None:
    console.print(operations_table(verdicts))
    console.print(services_table(verdicts))
    for verdict in verdicts:
        for fault in verdict.faults:
            console.print(f"{verdict.service}: {fault}", markup=False)
        if not verdict.clean:
            console.print(f"the requests that show it: {verdict.said}", markup=False)
    for line in logged:
        console.print(f"logged: {line}", markup=False)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.fuzz", description="Ask everything of every service.")
    parser.add_argument("--seed", type=int, help="repeat the run that printed this seed")
    parser.add_argument(
        "--examples", type=int, default=_EXAMPLES, help=f"random requests for each operation (default: {_EXAMPLES})"
    )
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

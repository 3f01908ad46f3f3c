"""`make faults`: start everything twice, break it under load, account for every item.

The exit status is the verdict: 0 if nothing was found that a promise forbids, 1 if something was, 2 if nothing could be
started.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import logging
import shutil
import sys
import time
from collections.abc import Sequence
from pathlib import Path

from rich.console import Console

from deploy.local.errors import ProcessFailedError, StackUnavailableError
from deploy.local.faults.plan import KINDS, Plan
from deploy.local.faults.run import play
from deploy.local.faults.stage import Stage, staged
from deploy.local.faults.telling import row_of, summary_of, tell
from deploy.local.services import service_names
from deploy.local.tree import commit_of_the_tree

RESULTS = Path(".local/faults")

_LARGEST_SEED = 2**32
_WIDTH = 140


def main(arguments: Sequence[str]) -> int:
    """Run; answers the exit status."""
    plan = _plan(arguments)
    # A broker that is away is what this is about, and no news.
    logging.getLogger("aiokafka").setLevel(logging.CRITICAL + 1)
    console = Console(highlight=False, soft_wrap=True)
    console.width = max(console.width, _WIDTH)
    console.print(f"seed {plan.seed}: `{plan.command}` repeats this run\nstarting Kafka, PostgreSQL and the services …")
    folder = RESULTS.resolve() / f"{time.strftime('%Y%m%dT%H%M%S')}-{plan.seed}"
    folder.mkdir(parents=True)
    # Now, since others may commit while it runs.
    commit, began = commit_of_the_tree(), time.monotonic()
    try:
        with staged(plan, folder) as stage:
            console.print(
                f"everything runs twice after {time.monotonic() - began:.0f} s; {plan.kills} faults will come"
            )
            clean = _judged(stage, console, commit, began)
    except (StackUnavailableError, ProcessFailedError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    return 0 if clean else 1


def _judged(stage: Stage, console: Console, commit: str, began: float) -> bool:
    evidence, violations = asyncio.run(play(stage, console))
    seconds = time.monotonic() - began
    summary = summary_of(stage.plan, evidence, violations, commit=commit, seconds=seconds)
    (stage.folder / "summary.json").write_text(json.dumps(summary, indent=2))
    tell(console, stage.folder, stage.plan, evidence, violations)
    if violations:
        _keep_logs(stage)
    console.print_json(json.dumps(summary))
    console.print(f"its row in docs/proof.md:\n{row_of(summary)}", markup=False)
    verdict = "NOT clean" if violations else "clean"
    console.print(f"{verdict}, seed {stage.plan.seed}, in {time.monotonic() - began:.0f} s; kept in {stage.folder}")
    return not violations


def _keep_logs(stage: Stage) -> None:
    for log in stage.stack.directory.glob("*.log"):
        shutil.copy(log, stage.folder)


def _plan(arguments: Sequence[str]) -> Plan:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.faults", description="Break everything, under load.")
    parser.add_argument("--kills", type=int, default=100, help="how many faults come (default: 100)")
    parser.add_argument("--seed", type=int, help="repeat the choices of the run that printed this seed")
    parser.add_argument("--only", nargs="+", choices=list(KINDS), help="these kinds of faults (default: all)")
    parser.add_argument("--brokers", type=int, default=1, choices=(1, 3), help="brokers of Kafka (default: 1)")
    parser.add_argument("--at", nargs="+", default=(), help="let processes kill themselves at these boundaries alone")
    parser.add_argument(
        "--victims",
        nargs="+",
        choices=service_names(),
        default=(),
        help="strike these services (default: all)",
    )
    parser.add_argument(
        "--deliveries", type=int, default=0, help="deliveries that are open before a fault comes (default: any number)"
    )
    parser.add_argument("--rate", type=float, default=Plan.rate, help="things asked for in a second")
    parser.add_argument("--pause", type=float, default=Plan.pause, help="seconds between faults, on the average")
    parser.add_argument("--patience", type=float, default=Plan.patience, help="seconds to come to rest, at most")
    chosen = parser.parse_args(arguments)
    seed = chosen.seed if chosen.seed is not None else time.time_ns() % _LARGEST_SEED
    only = tuple(kind for kind in KINDS if chosen.only is None or kind in chosen.only)
    return Plan(**{**vars(chosen), "seed": seed, "only": only})


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

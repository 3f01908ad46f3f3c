"""`make demo`: the whole system on a real Kafka and PostgreSQL, and the story with its evidence.

With `--compose` the system is the one that `deploy/compose.yaml` describes, run by a Docker engine from the image.

The exit status is the verdict: 0 if every step held; 1 if one did not, which is named; 2 if nothing could be started.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from rich.console import Console

from deploy.local.demo.compose import composed_system, new_project
from deploy.local.demo.evidence import Evidence
from deploy.local.demo.receiver import receiving
from deploy.local.demo.stage import Stage
from deploy.local.demo.story import Story
from deploy.local.demo.system import System
from deploy.local.demo.telling import Teller
from deploy.local.demo.upstream import upstream_of
from deploy.local.errors import ProcessFailedError, StackUnavailableError
from deploy.local.services import running_system, service_names
from deploy.local.stack import local_stack
from shared.kit.kafka import Kafka


def main(arguments: Sequence[str]) -> int:
    """Play the story; answers the exit status."""
    chosen = _parser().parse_args(arguments)
    console = Console(highlight=False)
    teller = Teller(console, chosen.patience)
    began = time.monotonic()
    project = new_project() if chosen.compose else None
    where = f" as Compose's project {project}" if project else ""
    console.print(
        f"[bold]portfolio-bus, the story[/bold]: starting Kafka, PostgreSQL and three services{where} …", soft_wrap=True
    )
    try:
        with _system(chosen, project) as system:
            console.print(f"everything runs after {time.monotonic() - began:.1f} s; Kafka at {system.kafka}")
            asyncio.run(play(system, chosen.prefix, teller))
    except (StackUnavailableError, ProcessFailedError) as error:
        sys.stderr.write(f"{error}\n")
        return 2
    except KeyboardInterrupt:
        return 130
    except Exception:
        if teller.broken is None:
            raise
        console.print(f"\n[bold red]The story does not hold[/bold red]: {teller.broken}", soft_wrap=True)
        return 1
    console.print(f"\n[bold green]The story holds[/bold green], in {time.monotonic() - began:.1f} s.")
    return 0


async def play(system: System, prefix: str, teller: Teller) -> None:
    """Play the story on a running system; raises where it breaks, and the teller knows the step."""
    kafka = Kafka(system.kafka, prefix, client_id="demo")
    async with receiving(system.here) as receiver, upstream_of(system, kafka) as upstream:
        await Story(Stage(system, upstream, Evidence(system, kafka), receiver, teller)).play()


def switched_off(part: str | None) -> dict[str, dict[str, str]]:
    """The environment that switches off one consumer group or worker, named `service.part`."""
    if part is None:
        return {}
    service, _, name = part.partition(".")
    if service not in service_names():
        raise SystemExit(f"--without takes a part of one of {', '.join(service_names())}, for example {part}")
    # A consumer group is known by all of that name, a worker by its last part.
    return {service: {"PORTFOLIO_BUS_WITHOUT": f"{part},{name}"}}


@contextmanager
def _system(chosen: argparse.Namespace, project: str | None) -> Iterator[System]:
    each = switched_off(chosen.without)
    if project:
        with composed_system(project, each=each) as composed:
            yield composed
    else:
        with local_stack() as stack, running_system(stack, prefix=chosen.prefix, each=each) as running:
            yield running


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.demo", description="Play the story of a deletion.")
    parser.add_argument("--without", help="switch one consumer group or worker off, e.g. webhook_dispatcher.delivery")
    parser.add_argument("--patience", type=float, default=20.0, help="seconds a step waits for its evidence")
    kept_apart = parser.add_mutually_exclusive_group()
    kept_apart.add_argument("--prefix", default="", help="keeps topics and databases apart on a stack that others use")
    kept_apart.add_argument("--compose", action="store_true", help="on deploy/compose.yaml, in a project of its own")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

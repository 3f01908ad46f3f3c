"""`make demo`: the whole system on a real Kafka and PostgreSQL, and the story with its evidence.

The exit status is the verdict: 0 if every step held; 1 if one did not, which is named; 2 if nothing could be started.
"""

from __future__ import annotations

import argparse
import asyncio
import sys
import time
from collections.abc import Sequence

from rich.console import Console

from deploy.local.demo.evidence import Evidence
from deploy.local.demo.receiver import receiving
from deploy.local.demo.stage import Stage
from deploy.local.demo.story import Story
from deploy.local.demo.telling import Teller
from deploy.local.demo.upstream import upstream_of
from deploy.local.errors import ProcessFailedError, StackUnavailableError
from deploy.local.services import RunningSystem, running_system, service_names
from deploy.local.stack import local_stack
from shared.kit.kafka import Kafka


def main(arguments: Sequence[str]) -> int:
    """Play the story; answers the exit status."""
    chosen = _parser().parse_args(arguments)
    console = Console(highlight=False)
    teller = Teller(console, chosen.patience)
    began = time.monotonic()
    console.print("[bold]portfolio-bus, the story[/bold]: starting Kafka, PostgreSQL and three services …")
    try:
        with (
            local_stack() as stack,
            running_system(stack, prefix=chosen.prefix, each=switched_off(chosen.without)) as system,
        ):
            console.print(f"everything runs after {time.monotonic() - began:.1f} s; Kafka at {stack.kafka}")
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


async def play(system: RunningSystem, prefix: str, teller: Teller) -> None:
    """Play the story on a running system; raises where it breaks, and the teller knows the step."""
    kafka = Kafka(system.stack.kafka, prefix, client_id="demo")
    async with receiving() as receiver, upstream_of(system, kafka) as upstream:
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


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m deploy.local.demo", description="Play the story of a deletion.")
    parser.add_argument("--without", help="switch one consumer group or worker off, e.g. webhook_dispatcher.delivery")
    parser.add_argument("--patience", type=float, default=20.0, help="seconds a step waits for its evidence")
    parser.add_argument("--prefix", default="", help="keeps topics and databases apart on a stack that others use")
    return parser


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))

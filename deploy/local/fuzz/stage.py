"""The running system under fire: one campaign against each service at once, and what the services said meanwhile."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

from deploy.local.fuzz.campaign import Effort, Target, attack
from deploy.local.fuzz.verdicts import Verdict
from deploy.local.fuzz.world import World, make_world
from deploy.local.loops import together
from deploy.local.services import RunningSystem, running_system
from deploy.local.stack import Stack

#: The token of the whole run is good for it, and no limit of requests is met: a 429 would stand for an answer. What is
#: sent fails soon, and may be sent again; a recovery that nobody goes on with may be cancelled.
_ENVIRONMENT = {
    "PORTFOLIO_BUS_TOKEN_SECONDS": "7200",
    "PORTFOLIO_BUS_RATE_LIMIT": "0",
    "PORTFOLIO_BUS_VERSION_WAIT": "0.05",
    "PORTFOLIO_BUS_RETRY_SCHEDULE": "0.05",
    "PORTFOLIO_BUS_CIRCUIT_FAILURES": "1000",
    "PORTFOLIO_BUS_WITHOUT": "recoveries",
}

_SENDER = "webhook_dispatcher"
_SHOWN = 20
_LINE = 2000
_ERROR = re.compile(r'"level": ?"(error|critical)"|^Traceback')


@contextmanager
def fuzzed_system(stack: Stack, seed: int, *, prefix: str = "") -> Iterator[tuple[RunningSystem, World]]:
    """All services with a world to ask about; webhooks are not sent any more, since their addresses are made up."""
    with running_system(stack, prefix=prefix, environment=_ENVIRONMENT) as system:
        world = make_world(system, seed)
        system.services[_SENDER].stop()
        system.start(_SENDER, environment={"PORTFOLIO_BUS_WITHOUT": "delivery,recoveries"}).wait_ready()
        yield system, world


def attack_all(system: RunningSystem, world: World, directory: Path, effort: Effort) -> list[Verdict]:
    """Ask all services everything, at once; answers a verdict for each."""
    leash = system.stack.leash
    return together(
        partial(attack, leash, Target(name, url), world, directory / name, effort) for name, url in system.urls.items()
    )


class Listener:
    """Hears what the services log as an error from now on: an answer that hid one is a fault as well."""

    def __init__(self, system: RunningSystem) -> None:
        """Begin to listen; what Kafka's client said while everything started does not count."""
        self._logs = [system.stack.directory / f"{name}.log" for name in system.services]
        self._heard = {log: log.stat().st_size for log in self._logs}

    def faults(self) -> list[str]:
        """The lines, each after the name of its service; not more than can be looked at."""
        lines = ((log.stem, line) for log in self._logs for line in self._new_lines(log))
        return [f"{name}: {line[:_LINE]}" for name, line in lines if _ERROR.search(line)][:_SHOWN]

    def _new_lines(self, log: Path) -> list[str]:
        with log.open("rb") as file:
            file.seek(self._heard[log])
            return file.read().decode(errors="replace").splitlines()

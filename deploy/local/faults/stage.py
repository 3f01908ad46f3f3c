"""What a run is played on: the stack, two replicas of every service, and the subscribers' endpoint."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from deploy.local.faults.plan import Plan
from deploy.local.loops import together
from deploy.local.ports import LOOPBACK, free_ports, somebody_listens
from deploy.local.processes import SERVICE_RANK, Command, LeashedProcess, wait_until
from deploy.local.services import REPOSITORY, RunningSystem, ServiceProcess, running_system, service_names
from deploy.local.stack import Stack, local_stack

_SECOND = "-2"
_CLIENTS = 3
#: Patient beyond any fault, and quick enough for a run of minutes.
_RETRIES = ",".join(["1", "1", "2", "2", *["3"] * 46])


@dataclass
class Stage:
    """Everything that can be talked to, and broken."""

    plan: Plan
    stack: Stack
    system: RunningSystem
    receiver: LeashedProcess
    hooks: str
    #: the run's own folder: ledger, arrivals, summary
    folder: Path
    #: process -> the most memory seen, in MiB
    memory: dict[str, float] = field(default_factory=dict)

    @property
    def services(self) -> dict[str, ServiceProcess]:
        """Every process of a service."""
        return self.system.services

    @property
    def urls(self) -> dict[str, list[str]]:
        """Service -> the base URLs of its replicas."""
        return {name: [self.system.urls[name], self.system.urls[name + _SECOND]] for name in service_names()}


@contextmanager
def staged(plan: Plan, folder: Path) -> Iterator[Stage]:
    """Start everything for the length of a `with` block."""
    environment = _environment(plan)
    with (
        local_stack(brokers=plan.brokers) as stack,
        running_system(stack, environment=environment) as system,
    ):
        for name in service_names():
            system.start(name, label=name + _SECOND)
        system.clients += [system.create_client(f"client-{number}") for number in range(len(system.clients), _CLIENTS)]
        together(service.wait_ready for service in system.services.values())
        receiver, hooks = _receiver(plan, stack, folder)
        yield Stage(plan, stack, system, receiver, hooks, folder)


def _environment(plan: Plan) -> dict[str, str]:
    return {
        "PORTFOLIO_BUS_REPLICATION": str(plan.brokers),
        "PORTFOLIO_BUS_RETRY_SCHEDULE": _RETRIES,
        "PORTFOLIO_BUS_ATTEMPT_TIMEOUT": "4",
        "PORTFOLIO_BUS_LEASE_SECONDS": "8",
        "PORTFOLIO_BUS_CIRCUIT_OPEN_SECONDS": "1",
        "PORTFOLIO_BUS_CIRCUIT_LONGEST_SECONDS": "4",
    }


def _receiver(plan: Plan, stack: Stack, folder: Path) -> tuple[LeashedProcess, str]:
    [port] = free_ports(1)
    arguments = [str(port), str(folder / "arrivals.jsonl"), str(plan.seed)]
    command = Command(
        name="receiver",
        argv=[sys.executable, "-m", "deploy.local.faults.receiver", *arguments],
        log=stack.directory / "receiver.log",
        env=dict(os.environ),
        cwd=REPOSITORY,
        rank=SERVICE_RANK,
        grace=2.0,
    )
    address = f"{LOOPBACK}:{port}"
    ready = LeashedProcess(
        stack.leash, command, lambda it: wait_until(it, lambda: somebody_listens(address), seconds=20)
    )
    ready.wait_ready()
    return ready, f"http://{address}/hooks"

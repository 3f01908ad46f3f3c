"""What a run is played on: the stack, two replicas of every service, and the subscribers' endpoint."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import urlsplit

from deploy.local.faults import clocks
from deploy.local.faults.clocks import Clocks
from deploy.local.faults.plan import Plan
from deploy.local.faults.wires import Way, Wires
from deploy.local.kafka import Detour
from deploy.local.loops import together
from deploy.local.ports import LOOPBACK, free_ports, somebody_listens
from deploy.local.processes import SERVICE_RANK, Command, LeashedProcess, wait_until
from deploy.local.services import REPOSITORY, RunningSystem, ServiceProcess, running_system, service_names
from deploy.local.stack import Stack, local_stack

#: what the labels of second replicas end with
SECOND = "-2"
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
    #: what the second replicas reach Kafka and PostgreSQL by; None where the network is left alone
    wires: Wires | None = None
    #: what moves the clocks of the second replicas; None where nothing can
    clocks: Clocks | None = None
    #: process -> the most memory seen, in MiB
    memory: dict[str, float] = field(default_factory=dict)

    @property
    def services(self) -> dict[str, ServiceProcess]:
        """Every process of a service."""
        return self.system.services

    @property
    def victims(self) -> list[str]:
        """The processes of services that may be struck."""
        return [name for name in self.services if self.plan.strikes(name.removesuffix(SECOND))]

    @property
    def urls(self) -> dict[str, list[str]]:
        """Service -> the base URLs of its replicas."""
        return {name: [self.system.urls[name], self.system.urls[name + SECOND]] for name in service_names()}


@contextmanager
def staged(plan: Plan, folder: Path) -> Iterator[Stage]:
    """Start everything for the length of a `with` block."""
    detours = _detours(plan) if "network" in plan.only else []
    with (
        _clocks(plan, folder) as moving,
        local_stack(brokers=plan.brokers, detours=detours) as stack,
        running_system(stack, environment=environment_of(plan)) as system,
        _wired(system, detours) as wires,
    ):
        for name in service_names():
            label = name + SECOND
            moved = moving.environment(label) if moving else {}
            system.start(name, label=label, environment={**wires.environments.get(name, {}), **moved})
        system.clients += system.create_clients(*(f"client-{n}" for n in range(len(system.clients), _CLIENTS)))
        together(service.wait_ready for service in system.services.values())
        receiver, hooks = _receiver(plan, stack, folder)
        yield Stage(plan, stack, system, receiver, hooks, folder, wires.wires, moving)


@contextmanager
def _clocks(plan: Plan, folder: Path) -> Iterator[Clocks | None]:
    found = clocks.library() if "clock" in plan.only else None
    if found is None:
        yield None
        return
    try:
        yield Clocks(folder, [name + SECOND for name in service_names()], found)
    finally:
        clocks.clear_away()


@dataclass(frozen=True)
class Wiring:
    """How second replicas are told to go by the wires."""

    wires: Wires | None
    #: service -> what its second replica's environment says otherwise
    environments: Mapping[str, Mapping[str, str]]


def _detours(plan: Plan) -> list[list[Detour]]:
    """For each broker a way of its own for each service's second replica."""
    services = len(service_names())
    ports = iter(free_ports(2 * services * plan.brokers))
    return [[Detour(next(ports), next(ports)) for _ in range(services)] for _ in range(plan.brokers)]


@contextmanager
def _wired(system: RunningSystem, detours: list[list[Detour]]) -> Iterator[Wiring]:
    nodes = system.stack.nodes
    # What runs elsewhere, or in containers, knows nothing of other ways.
    if not detours or not all(isinstance(nodes.get(name), LeashedProcess) for name in ("postgres", "kafka-1")):
        yield Wiring(None, {})
        return
    postgres = urlsplit(system.stack.postgres).port or 0
    ways: list[Way] = []
    environments = {}
    services = zip(system.databases.items(), free_ports(len(system.databases)), strict=True)
    for number, ((name, dsn), port) in enumerate(services):
        mine = [broker[number] for broker in detours]
        ways += [Way(each.advertised, name + SECOND, "kafka", each.port) for each in mine]
        ways.append(Way(port, name + SECOND, "postgres", postgres))
        bootstrap = ",".join(f"{LOOPBACK}:{each.advertised}" for each in mine)
        environments[name] = {"PORTFOLIO_BUS_KAFKA": bootstrap, "PORTFOLIO_BUS_DATABASE_URL": _by_port(dsn, port)}
    wires = Wires(ways)
    with wires.relaying():
        yield Wiring(wires, environments)


def _by_port(dsn: str, port: int) -> str:
    parts = urlsplit(dsn)
    return parts._replace(netloc=f"{parts.username}:{parts.password}@{LOOPBACK}:{port}").geturl()


def environment_of(plan: Plan) -> dict[str, str]:
    """What every service is told: short times, so that a run of minutes sees what takes hours."""
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

"""The services as processes on a stack: a database each, migrated, started together, ready."""

from __future__ import annotations

import base64
import http.client
import json
import os
import secrets
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

from deploy.local.errors import ProcessFailedError
from deploy.local.loops import together
from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.processes import SERVICE_RANK, Command, LeashedProcess, wait_until
from deploy.local.stack import Stack

REPOSITORY = Path(__file__).parents[2]

#: Owns the clients and signs the tokens, so the others are told its address.
ISSUER = "config_service"

SCOPES = "accounts:admin portfolios:admin orders:admin webhooks:admin ops:admin"

_MIGRATE_SECONDS = 90.0
_READY_SECONDS = 90.0
_ANSWER_SECONDS = 2.0
_STOP_SECONDS = 15.0


class ServiceProcess(LeashedProcess):
    """One process of a service, ready once `/health/ready` says so of all its roles."""

    def __init__(self, stack: Stack, command: Command, url: str) -> None:
        """Start `command`, which serves HTTP under `url`."""
        self.url = url
        address = url.removeprefix("http://")
        super().__init__(
            stack.leash, command, lambda it: wait_until(it, lambda: _is_ready(address), seconds=_READY_SECONDS)
        )


@dataclass(frozen=True)
class BootstrapClient:
    """A client made on the command line, to begin with."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass
class RunningSystem:
    """A stack with all services on it."""

    stack: Stack
    #: Every service's database, by the service's folder name.
    databases: dict[str, str]
    #: Base URLs, decided before anything is started: the services are told each other's.
    urls: dict[str, str]
    #: Goes to every process that is started.
    environment: dict[str, str] = field(repr=False)
    #: Every process of a service, by the service's folder name or the label it was started under.
    services: dict[str, ServiceProcess] = field(default_factory=dict)
    #: Two clients with all scopes.
    clients: list[BootstrapClient] = field(default_factory=list)

    def start(
        self,
        service: str,
        *,
        label: str | None = None,
        roles: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        module: str | None = None,
    ) -> ServiceProcess:
        """Start a service; another process of the same service takes a `label` of its own. It may not be ready yet.

        `module` runs in the service's place, with its environment and the service's name as its argument.
        """
        label = label or service
        if label not in self.urls:
            self.urls |= _new_urls([label])
        arguments = ["run", *(["--roles", ",".join(roles)] if roles else [])]
        command = self._command(label, service, arguments, environment or {})
        if module is not None:
            command = replace(command, argv=[sys.executable, "-m", module, service])
        self.services[label] = ServiceProcess(self.stack, command, self.urls[label])
        return self.services[label]

    def migrate(self, service: str) -> None:
        """Bring a service's tables and topics up to date; raises ProcessFailedError with its last log lines."""
        command = self._command(f"{service}-migrate", service, ["migrate"], {})
        if self.stack.leash.run(command, seconds=_MIGRATE_SECONDS):
            raise ProcessFailedError(f"{service} could not be migrated.", command.log)

    def create_client(self, name: str, scopes: str = SCOPES) -> BootstrapClient:
        """Make a client on the issuer's command line."""
        arguments = ["client-create", "--name", name, "--scopes", scopes]
        command = self._command(f"client-create-{name}", ISSUER, arguments, {})
        failed = self.stack.leash.run(command, seconds=_MIGRATE_SECONDS)
        lines = [line for line in command.log.read_text().splitlines() if '"client_secret"' in line]
        if failed or not lines:
            raise ProcessFailedError(f"The client {name} could not be made.", command.log)
        command.log.unlink()  # holds the secret
        made = json.loads(lines[-1])
        return BootstrapClient(made["client_id"], made["client_secret"])

    def document(self) -> dict[str, Any]:
        """Return what `.local/stack.json` says."""
        processes = [*self.stack.nodes.values(), *self.services.values()]
        return {
            "kafka": self.stack.kafka,
            "postgres": self.databases,
            "services": {name: service.url for name, service in self.services.items()},
            "pids": {process.name: process.pid for process in processes},
            "clients": [vars(client) for client in self.clients],
        }

    def _command(self, name: str, service: str, arguments: list[str], environment: Mapping[str, str]) -> Command:
        label = name if arguments[0] == "run" else service
        own = {
            "PORTFOLIO_BUS_DATABASE_URL": self.databases[service],
            "PORTFOLIO_BUS_HTTP_HOST": LOOPBACK,
            "PORTFOLIO_BUS_HTTP_PORT": self.urls[label].rpartition(":")[2],
            "PORTFOLIO_BUS_ISSUER_URL": self.urls[ISSUER],
        }
        return Command(
            name=name,
            argv=[sys.executable, "-m", f"services.{service}", *arguments],
            log=self.stack.directory / f"{name}.log",
            env={**os.environ, **self.environment, **own, **environment},
            cwd=REPOSITORY,
            rank=SERVICE_RANK,
            grace=_STOP_SECONDS,
        )


def service_names() -> list[str]:
    """Return the folder names of all services that run as processes: those that have a database to migrate.

    ops_console has none: it is a command line so far.
    """
    return sorted({migration.parents[1].name for migration in (REPOSITORY / "services").glob("*/migrations/0*.py")})


@contextmanager
def running_system(
    stack: Stack,
    *,
    prefix: str = "",
    environment: Mapping[str, str] | None = None,
    each: Mapping[str, Mapping[str, str]] | None = None,
) -> Iterator[RunningSystem]:
    """Run all services on `stack` for the length of a `with` block, with two clients that may do everything.

    `prefix` keeps the topics and databases of systems on one stack apart; `environment` goes to all processes, `each`
    to those of the service it names. Raises ProcessFailedError with the last log lines of what did not get ready.
    """
    names = service_names()
    databases = together(partial(stack.create_database, prefix + name) for name in names)
    system = RunningSystem(
        stack,
        databases=dict(zip(names, databases, strict=True)),
        urls=_new_urls(names),
        environment=_environment(stack, prefix) | dict(environment or {}),
    )
    try:
        together(partial(system.migrate, name) for name in names)
        for name in names:
            system.start(name, environment=(each or {}).get(name))
        system.clients += together(partial(system.create_client, name) for name in ("first", "second"))
        together(service.wait_ready for service in system.services.values())
        yield system
    finally:
        together(service.stop for service in system.services.values())


def _new_urls(names: Sequence[str]) -> dict[str, str]:
    return {name: f"http://{LOOPBACK}:{port}" for name, port in zip(names, free_ports(len(names)), strict=True)}


def _environment(stack: Stack, prefix: str) -> dict[str, str]:
    return {
        "PORTFOLIO_BUS_KAFKA": stack.kafka,
        "PORTFOLIO_BUS_SECRET_KEYS": _secret_keys(stack.directory),
        "PORTFOLIO_BUS_TOPIC_PREFIX": prefix,
        "PORTFOLIO_BUS_DELIVER_TO": "127.0.0.0/8,::1/128",
        "PYTHONUNBUFFERED": "1",
    }


def _secret_keys(directory: Path) -> str:
    """Return the key that encrypts secrets at rest: one per data directory, or what was stored could not be read."""
    file = directory / "secret_keys"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    return file.read_text()


def _is_ready(address: str) -> bool:
    connection = http.client.HTTPConnection(address, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/health/ready?role=all")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

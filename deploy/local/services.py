"""The services as processes on a stack: a database each, migrated, started together, ready."""

from __future__ import annotations

import base64
import http.client
import json
import os
import secrets
import signal
import sys
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import partial
from pathlib import Path
from typing import Any

import psutil

from deploy.local.errors import ProcessFailedError
from deploy.local.loops import together
from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.processes import SERVICE_RANK, Command, LeashedProcess, wait_until
from deploy.local.stack import Stack

REPOSITORY = Path(__file__).parents[2]

#: Owns the clients and signs the tokens, so the others are told its address.
ISSUER = "config_service"

#: Where the databases outlast the stack, their secrets have to be opened by the next one too.
SECRET_KEYS_VARIABLE = "PORTFOLIO_BUS_SECRET_KEYS"  # noqa: S105 -- a name

SCOPES = "accounts:admin portfolios:admin orders:admin webhooks:admin ops:admin"

#: a machine that is swamped takes a minute and more
_MIGRATE_SECONDS = 180.0
_READY_SECONDS = 180.0
_ANSWER_SECONDS = 2.0
_STOP_SECONDS = 15.0

#: Owns nothing, so that it has no database, and is not among the services that have.
CONSOLE = "ops_console"


class ServiceProcess(LeashedProcess):
    """One process of a service, ready once `/health/ready` says so of all its roles."""

    def __init__(self, stack: Stack, command: Command, url: str) -> None:
        """Start `command`, which serves HTTP under `url`."""
        self.url = url
        super().__init__(stack.leash, command, lambda it: wait_until(it, self.is_ready, seconds=_READY_SECONDS))

    @property
    def began(self) -> datetime:
        """When the process was started that runs now."""
        return datetime.fromtimestamp(psutil.Process(self.pid).create_time(), UTC)

    def is_ready(self) -> bool:
        """Ask it once whether it is ready."""
        return is_ready(self.url)

    def pause(self) -> None:
        """Stop it where it stands: it does nothing more, and is not told."""
        self.send_signal(signal.SIGSTOP)


@dataclass(frozen=True)
class BootstrapClient:
    """A client made on the command line, to begin with."""

    client_id: str
    client_secret: str = field(repr=False)


@dataclass(frozen=True)
class Console:
    """The console's pages, and what an operator signs in to them with."""

    process: ServiceProcess
    token: str = field(repr=False)


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
    console: Console | None = None

    @property
    def kafka(self) -> str:
        """Bootstrap servers."""
        return self.stack.kafka

    @property
    def here(self) -> str:
        """The address under which the services reach this machine, which is theirs as well."""
        return LOOPBACK

    def start(
        self,
        service: str,
        *,
        label: str | None = None,
        roles: Sequence[str] = (),
        environment: Mapping[str, str] | None = None,
        module: str | None = None,
        migrating: bool = False,
    ) -> ServiceProcess:
        """Start a service; another process of the same service takes a `label` of its own. It may not be ready yet.

        `module` runs in the service's place, with its environment and the service's name as its argument. Unless it is
        `migrating`, its tables and topics have to be there.
        """
        label = label or service
        if label not in self.urls:
            self.urls |= _new_urls([label])
        chosen = ["--roles", ",".join(roles)] if roles else []
        arguments = ["run", *chosen, *(["--migrate"] if migrating else [])]
        command = self._command(label, service, arguments, environment or {})
        if module is not None:
            argv = [sys.executable, "-m", module, service, *(["--migrate"] if migrating else [])]
            command = replace(command, argv=argv)
        self.services[label] = ServiceProcess(self.stack, command, self.urls[label])
        return self.services[label]

    def start_console(self, environment: Mapping[str, str] | None = None) -> Console:
        """Start the console's pages for this system, with a token of their own. They may not be ready yet."""
        (url,) = _new_urls([CONSOLE]).values()
        client, token = self.clients[0], secrets.token_urlsafe(32)
        own = {
            **{f"PORTFOLIO_BUS_{name.upper()}_URL": address for name, address in self.urls.items()},
            "PORTFOLIO_BUS_HTTP_HOST": LOOPBACK,
            "PORTFOLIO_BUS_HTTP_PORT": url.rpartition(":")[2],
            "PORTFOLIO_BUS_CLIENT_ID": client.client_id,
            "PORTFOLIO_BUS_CLIENT_SECRET": client.client_secret,
            "PORTFOLIO_BUS_CONSOLE_TOKEN": token,
        }
        command = Command(
            name=CONSOLE,
            argv=[sys.executable, "-m", f"services.{CONSOLE}", "serve"],
            log=self.stack.directory / f"{CONSOLE}.log",
            env={**os.environ, **self.environment, **own, **(environment or {})},
            cwd=REPOSITORY,
            rank=SERVICE_RANK,
            grace=_STOP_SECONDS,
        )
        self.console = Console(ServiceProcess(self.stack, command, url), token)
        return self.console

    def migrate(self, service: str) -> None:
        """Bring a service's tables and topics up to date; raises ProcessFailedError with its last log lines."""
        command = self._command(f"{service}-migrate", service, ["migrate"], {})
        if self.stack.leash.run(command, seconds=_MIGRATE_SECONDS):
            raise ProcessFailedError(f"{service} could not be migrated.", command.log)

    def create_clients(self, *names: str, scopes: str = SCOPES, migrating: bool = False) -> list[BootstrapClient]:
        """Make clients on the issuer's command line, its tables first if `migrating`."""
        named = [argument for name in names for argument in ("--name", name)]
        arguments = ["client-create", *named, "--scopes", scopes, *(["--migrate"] if migrating else [])]
        command = self._command(f"client-create-{names[0]}", ISSUER, arguments, {})
        failed = self.stack.leash.run(command, seconds=_MIGRATE_SECONDS)
        lines = [line for line in command.log.read_text().splitlines() if '"client_secret"' in line]
        if failed or len(lines) != len(names):
            raise ProcessFailedError(f"The clients {', '.join(names)} could not be made.", command.log)
        command.log.unlink()  # holds the secrets
        made = [json.loads(line) for line in lines]
        return [BootstrapClient(each["client_id"], each["client_secret"]) for each in made]

    def document(self) -> dict[str, Any]:
        """Return what `.local/stack.json` says."""
        console = self.console
        processes = [*self.stack.nodes.values(), *self.services.values(), *([console.process] if console else [])]
        return {
            "kafka": self.stack.kafka,
            "postgres": self.databases,
            "services": {name: service.url for name, service in self.services.items()},
            "pids": {process.name: process.pid for process in processes},
            "clients": [vars(client) for client in self.clients],
            **({"console": {"url": console.process.url, "token": console.token}} if console else {}),
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

    ops_console has none: see `RunningSystem.start_console`.
    """
    return sorted({migration.parents[1].name for migration in (REPOSITORY / "services").glob("*/migrations/0*.py")})


@contextmanager
def running_system(
    stack: Stack,
    *,
    prefix: str = "",
    environment: Mapping[str, str] | None = None,
    each: Mapping[str, Mapping[str, str]] | None = None,
    module: str | None = None,
) -> Iterator[RunningSystem]:
    """Run all services on `stack` for the length of a `with` block, with two clients that may do everything.

    `prefix` keeps the topics and databases of systems on one stack apart; `environment` goes to all processes, `each`
    to those of the service it names; `module` runs in the place of every service. Raises ProcessFailedError with the
    last log lines of what did not get ready.
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
        for name in names:
            system.start(name, environment=(each or {}).get(name), module=module, migrating=True)
        system.clients += system.create_clients("first", "second", migrating=True)
        together(service.wait_ready for service in system.services.values())
        yield system
    finally:
        console = [system.console.process] if system.console else []
        together(service.stop for service in [*console, *system.services.values()])


def _new_urls(names: Sequence[str]) -> dict[str, str]:
    return {name: f"http://{LOOPBACK}:{port}" for name, port in zip(names, free_ports(len(names)), strict=True)}


def _environment(stack: Stack, prefix: str) -> dict[str, str]:
    return {
        "PORTFOLIO_BUS_KAFKA": stack.kafka,
        SECRET_KEYS_VARIABLE: os.environ.get(SECRET_KEYS_VARIABLE) or _secret_keys(stack.directory),
        "PORTFOLIO_BUS_TOPIC_PREFIX": prefix,
        "PORTFOLIO_BUS_DELIVER_TO": "127.0.0.0/8,::1/128",
        "PORTFOLIO_BUS_DELIVER_TO_PORTS": "1-65535",
        "PYTHONUNBUFFERED": "1",
    }


def _secret_keys(directory: Path) -> str:
    """Return the key that encrypts secrets at rest: one per data directory, or what was stored could not be read."""
    file = directory / "secret_keys"
    if not file.exists():
        file.touch(mode=0o600)
        file.write_text(base64.urlsafe_b64encode(secrets.token_bytes(32)).decode())
    return file.read_text()


def is_ready(url: str) -> bool:
    """Ask a service once whether all of its roles are ready."""
    address = url.removeprefix("http://")
    connection = http.client.HTTPConnection(address, timeout=_ANSWER_SECONDS)
    try:
        connection.request("GET", "/health/ready?role=all")
        return connection.getresponse().status == http.HTTPStatus.OK
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()

"""The system as `deploy/compose.yaml` runs it: a project of its own, with its own secrets, gone with its volumes."""

from __future__ import annotations

import json
import os
import secrets
import signal
import subprocess
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path

from deploy.compose.new_secrets import write
from deploy.local.errors import ProcessFailedError
from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.processes import wait_for
from deploy.local.services import ISSUER, REPOSITORY, SCOPES, BootstrapClient, is_ready, service_names
from shared.contracts.topics import DEFAULT_PARTITIONS

IMAGE_VARIABLE = "PORTFOLIO_BUS_IMAGE"

_FILES = (REPOSITORY / "deploy" / "compose.yaml", REPOSITORY / "deploy" / "compose" / "demo.yaml")
_OURS = ("PORTFOLIO_BUS_", "COMPOSE_")

_UP_SECONDS = 300.0
_DOWN_SECONDS = 120.0
_COMMAND_SECONDS = 60.0
_READY_SECONDS = 90.0

#: Resolves what Docker calls the gateway to the host, as a container sees it.
_GATEWAY = "import socket; print(socket.gethostbyname('host.docker.internal'))"


class Docker:
    """Docker's command line; what it says besides goes to a log, whose last lines a failure tells."""

    def __init__(self, log: Path, environment: Mapping[str, str]) -> None:
        """Append to `log`; every command has this environment."""
        self._log = log
        self._environment = environment

    def __call__(self, *arguments: str, what: str, seconds: float = _COMMAND_SECONDS) -> str:
        """Run `docker` with these arguments and return what it prints.

        Raises ProcessFailedError where it fails or does not end in time; the sentence is that `what`.
        """
        with self._log.open("a") as log:
            try:
                # In a session of its own: Ctrl-C is for the story, which then says what is to be done.
                process = subprocess.Popen(
                    ["docker", *arguments],
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.PIPE,
                    stderr=log,
                    env=self._environment,
                    text=True,
                    start_new_session=True,
                )
            except OSError as error:
                raise ProcessFailedError(f"{what}: docker cannot be run ({error.strerror}).") from error
            with process:
                try:
                    said, _ = process.communicate(timeout=seconds)
                except subprocess.TimeoutExpired as error:
                    raise ProcessFailedError(f"{what}: not done within {seconds:.0f} s.", self._log) from error
                finally:
                    if process.poll() is None:
                        # Its plugins are processes of their own, and would go on making what is about to be removed.
                        os.killpg(process.pid, signal.SIGKILL)
        if process.returncode:
            raise ProcessFailedError(f"{what}.", self._log)
        return said


@dataclass(frozen=True)
class ComposedService:
    """A service's container."""

    name: str
    url: str
    container: str
    docker: Docker = field(repr=False)

    @property
    def began(self) -> datetime:
        """When the process was started that runs now."""
        return datetime.fromisoformat(self._do("inspect", "--format", "{{.State.StartedAt}}").strip())

    def pause(self) -> None:
        """Stop it where it stands: it does nothing more, and is not told."""
        self._do("pause")

    def kill(self) -> None:
        """SIGKILL it and return once it is gone, also where it is paused; its restart policy lets it be."""
        self._do("kill")
        self._do("wait")

    def restart(self) -> None:
        """Start it again under the same address and return once it serves."""
        self._do("start")
        wait_for(self.name, lambda: is_ready(self.url), seconds=_READY_SECONDS)

    def _do(self, command: str, *options: str) -> str:
        return self.docker(command, *options, self.container, what=f"docker {command} of {self.name} failed")


@dataclass(frozen=True)
class ComposedSystem:
    """Everything that Compose runs, as this machine reaches it."""

    kafka: str
    #: The address under which the containers reach this machine.
    here: str
    databases: dict[str, str] = field(repr=False)
    urls: dict[str, str]
    services: dict[str, ComposedService]
    clients: list[BootstrapClient] = field(repr=False)


@contextmanager
def composed_system(project: str, *, each: Mapping[str, Mapping[str, str]] | None = None) -> Iterator[ComposedSystem]:
    """Run compose.yaml under the name `project` for the length of a `with` block, with a client that may do everything.

    `each` is more environment for the service it names. Raises ProcessFailedError where the engine, the image or one of
    the services is missing, with the last lines of what Docker said.
    """
    with tempfile.TemporaryDirectory(prefix="portfolio-bus-") as folder, _terminable():
        yield from _composed(project, Path(folder), each or {})


def _composed(project: str, folder: Path, each: Mapping[str, Mapping[str, str]]) -> Iterator[ComposedSystem]:
    names = service_names()
    kafka, postgres, console, *ports = free_ports(3 + len(names))
    write(folder / "secrets")
    environment = {name: value for name, value in os.environ.items() if not name.startswith(_OURS)} | {
        IMAGE_VARIABLE: image(),
        "COMPOSE_PROFILES": "services,kafka,postgres",
        "SECRETS_FOLDER": str(folder / "secrets"),
        "PORTFOLIO_BUS_PARTITIONS": str(DEFAULT_PARTITIONS),
        "DEMO_KAFKA_PORT": str(kafka),
        "DEMO_POSTGRES_PORT": str(postgres),
        "OPS_CONSOLE_PORT": str(console),
        **{f"{name.upper()}_PORT": str(port) for name, port in zip(names, ports, strict=True)},
    }
    here = _gateway(Docker(folder / "docker.log", environment))
    # Nothing but this machine: what is private is refused otherwise.
    docker = Docker(folder / "docker.log", environment | {"PORTFOLIO_BUS_DELIVER_TO": f"{here}/32"})
    files = [*_FILES, _more_environment(folder, each)]
    compose = ["compose", "--project-name", project, *(word for file in files for word in ("--file", str(file)))]
    urls = {name: f"http://{LOOPBACK}:{port}" for name, port in zip(names, ports, strict=True)}
    try:
        _up(docker, compose)
        yield ComposedSystem(
            kafka=f"{LOOPBACK}:{kafka}",
            here=here,
            databases={name: _database(folder / "secrets", name, postgres) for name in names},
            urls=urls,
            services={
                name: ComposedService(name, url, _container(docker, compose, name), docker)
                for name, url in urls.items()
            },
            clients=_clients(docker, compose),
        )
    finally:
        _down(docker, compose, project)


def new_project() -> str:
    """Return a name that no other project has, so that two stories may be told at once."""
    return f"portfolio-bus-demo-{secrets.token_hex(3)}"


def image() -> str:
    """Return the name of the image of our services, as compose.yaml is told it."""
    return os.environ.get(IMAGE_VARIABLE) or "portfolio-bus"


def _gateway(docker: Docker) -> str:
    ours = image()
    run = ["run", "--rm", "--pull", "never", "--add-host", "host.docker.internal:host-gateway"]
    missing = f"The image {ours} cannot be run (`make image` builds it, and it takes a Docker engine)"
    return docker(*run, "--entrypoint", "python", ours, "-c", _GATEWAY, what=missing).strip()


def _more_environment(folder: Path, each: Mapping[str, Mapping[str, str]]) -> Path:
    file = folder / "each.json"
    file.write_text(json.dumps({"services": {_called(name): {"environment": dict(own)} for name, own in each.items()}}))
    return file


def _up(docker: Docker, compose: Sequence[str]) -> None:
    up = ["up", "--detach", "--quiet-pull", "--wait", "--wait-timeout", f"{_UP_SECONDS:.0f}"]
    try:
        docker(*compose, *up, what="Compose could not start everything", seconds=_UP_SECONDS + _COMMAND_SECONDS)
    except ProcessFailedError as fault:
        logs = docker(*compose, "logs", "--no-color", "--tail", "10", what="Compose has no logs")
        raise ProcessFailedError("\n".join([str(fault), *logs.splitlines()])) from fault


def _container(docker: Docker, compose: Sequence[str], name: str) -> str:
    return docker(*compose, "ps", "--all", "--quiet", _called(name), what=f"{name} has no container").strip()


def _clients(docker: Docker, compose: Sequence[str]) -> list[BootstrapClient]:
    """Make a client by the image's own command line, as a person would."""
    run = ["run", "--rm", "--no-deps", "--no-TTY", _called(ISSUER), f"services.{ISSUER}"]
    made = docker(*compose, *run, "client-create", "--name", "demo", "--scopes", SCOPES, what="No client could be made")
    return [BootstrapClient(**json.loads(line)) for line in made.splitlines()]


def _database(folder: Path, name: str, port: int) -> str:
    inside = (folder / f"{name}_database_url").read_text()
    return inside.replace("@postgres:5432/", f"@{LOOPBACK}:{port}/")


def _called(name: str) -> str:
    """Return what Compose calls a service."""
    return name.replace("_", "-")


def _down(docker: Docker, compose: Sequence[str], project: str) -> None:
    """Remove everything, whatever else is pressed meanwhile."""
    down = ["down", "--volumes", "--remove-orphans", "--timeout", "10"]
    left = f"Something of the project {project} is left (docker compose -p {project} down -v)"
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        docker(*compose, *down, what=left, seconds=_DOWN_SECONDS)
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def _terminable() -> Iterator[None]:
    """Let SIGTERM end the block as Ctrl-C does: containers outlive whoever started them."""
    before = signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGTERM, before)

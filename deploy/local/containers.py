"""Kafka and PostgreSQL as containers, where a Docker engine answers."""

from __future__ import annotations

import base64
import os
import secrets
import socket
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import docker  # type: ignore[import-untyped]
from docker.errors import DockerException  # type: ignore[import-untyped]
from requests.exceptions import RequestException
from testcontainers.core.container import DockerContainer
from testcontainers.core.network import Network

from deploy.local.errors import StackUnavailableError
from deploy.local.kafka import brokers_seen, shared_settings
from deploy.local.ports import LOOPBACK, free_ports
from deploy.local.postgres import answers
from deploy.local.processes import Node, wait_for

KAFKA_IMAGE = "apache/kafka:4.3.1"
POSTGRES_IMAGE = "postgres:18"

_ENGINE = "unix:///var/run/docker.sock"
_ENGINE_SECONDS = 3
_READY_SECONDS = 90.0


@dataclass(frozen=True)
class ContainerNode:
    """A container that a fault test may kill and bring back; its ports are fixed, so they stay the same."""

    name: str
    container: DockerContainer
    serves: Callable[[], bool]

    @property
    def pid(self) -> int:
        """The process id as the engine's machine sees it."""
        return int(self._state()["Pid"])

    def alive(self) -> bool:
        """Tell whether it runs."""
        return bool(self._state()["Running"])

    def kill(self) -> None:
        """SIGKILL its process."""
        self.container.get_wrapped_container().kill()

    def restart(self) -> None:
        """Start it again on the same data and return once it serves; kill it first if it runs."""
        if self.alive():
            self.kill()
        self.container.get_wrapped_container().start()
        self.wait_ready()

    def wait_ready(self) -> None:
        """Return once it serves; raises StackUnavailableError where it does not."""
        wait_for(self.name, self.serves, seconds=_READY_SECONDS)

    def _state(self) -> dict[str, Any]:
        wrapped = self.container.get_wrapped_container()
        wrapped.reload()
        state: dict[str, Any] = wrapped.attrs["State"]
        return state


def _accepts(path: str) -> bool:
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        return probe.connect_ex(path) == 0


class Containers:
    """What was started in a Docker engine; testcontainers' reaper ends it should the starter be killed."""

    def __init__(self) -> None:
        """Start with none."""
        self._started: list[DockerContainer | Network] = []

    @classmethod
    def where_an_engine_answers(cls) -> Containers | None:
        """Return an empty set of containers, None where no engine of this machine answers."""
        host = os.environ.get("DOCKER_HOST", _ENGINE)
        if not host.startswith("unix:"):
            return None  # containers elsewhere are not reached on loopback
        if not _accepts(host.removeprefix("unix://")):
            return None  # asking it would say the same, and leave the client's socket open
        try:
            engine = docker.from_env(timeout=_ENGINE_SECONDS)
            engine.ping()
        except (DockerException, RequestException):
            return None
        engine.close()
        return cls()

    def start_kafka(self, brokers: int) -> tuple[str, Sequence[Node]]:
        """Start a cluster; raises StackUnavailableError where the engine cannot, for want of the image for example."""
        ports = free_ports(brokers)
        bootstrap = ",".join(f"{LOOPBACK}:{port}" for port in ports)
        network = self._network()
        cluster = base64.urlsafe_b64encode(uuid.uuid4().bytes).decode().rstrip("=")
        nodes = []
        for node_id, port in enumerate(ports, start=1):
            container = _kafka_container(network, node_id, port, brokers).with_env("CLUSTER_ID", cluster)
            self._start(_on_loopback(container, 9092, port))
            nodes.append(ContainerNode(f"kafka-{node_id}", container, lambda: brokers_seen(bootstrap) >= brokers))
        for node in nodes:
            node.wait_ready()
        return bootstrap, nodes

    def start_postgres(self) -> tuple[str, Sequence[Node]]:
        """Start a server; raises StackUnavailableError where the engine cannot."""
        [port] = free_ports(1)
        password = secrets.token_urlsafe(24)
        dsn = f"postgresql://postgres:{password}@{LOOPBACK}:{port}/postgres"
        container = (
            DockerContainer(POSTGRES_IMAGE)
            .with_env("POSTGRES_PASSWORD", password)
            .with_command("postgres -c max_connections=300 -c jit=off")
        )
        self._start(_on_loopback(container, 5432, port))
        node = ContainerNode("postgres", container, lambda: answers(dsn))
        node.wait_ready()
        return dsn, [node]

    def stop(self) -> None:
        """End and remove everything, the last first."""
        for started in reversed(self._started):
            if isinstance(started, Network):
                started.remove()
            else:
                started.stop()

    def _network(self) -> Network:
        try:
            network = Network().create()
        except (DockerException, RequestException) as error:
            raise StackUnavailableError(f"the Docker engine could not make a network: {error}") from error
        self._started.append(network)
        return network

    def _start(self, container: DockerContainer) -> None:
        self._started.append(container)
        try:
            container.start()
        except (DockerException, RequestException, TimeoutError) as error:
            raise StackUnavailableError(f"the Docker engine could not start {container.image}: {error}") from error


def _kafka_container(network: Network, node_id: int, port: int, brokers: int) -> DockerContainer:
    voters = ",".join(f"{each}@kafka-{each}:9093" for each in range(1, brokers + 1))
    settings = shared_settings(brokers) | {
        "node.id": node_id,
        "controller.quorum.voters": voters,
        "listeners": "PLAINTEXT://:9092,INTERNAL://:9094,CONTROLLER://:9093",
        "advertised.listeners": f"PLAINTEXT://{LOOPBACK}:{port},INTERNAL://kafka-{node_id}:9094",
        "listener.security.protocol.map": "PLAINTEXT:PLAINTEXT,INTERNAL:PLAINTEXT,CONTROLLER:PLAINTEXT",
        "inter.broker.listener.name": "INTERNAL",
    }
    container = DockerContainer(KAFKA_IMAGE).with_network(network).with_network_aliases(f"kafka-{node_id}")
    for key, value in settings.items():
        container = container.with_env(f"KAFKA_{key.upper().replace('.', '_')}", str(value))
    return container


def _on_loopback(container: DockerContainer, inside: int, port: int) -> DockerContainer:
    """Publish a port under a fixed number, so that a restart keeps it, and to this machine alone."""
    container.ports[str(inside)] = (LOOPBACK, port)  # type: ignore[assignment] # docker-py takes (address, port) as well
    return container

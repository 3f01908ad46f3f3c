"""Apache Kafka in KRaft mode as local processes: configuration, formatting, starting, waiting until it serves."""

from __future__ import annotations

import shutil
import signal
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

from aiokafka.admin import AIOKafkaAdminClient
from aiokafka.errors import KafkaError

from deploy.local.aot_cache import aot_cache
from deploy.local.artefacts import kafka_jars
from deploy.local.errors import ProcessFailedError
from deploy.local.formatted import CLUSTER, formatted
from deploy.local.java import find_java
from deploy.local.loops import completed, together
from deploy.local.ports import LOOPBACK, free_ports, somebody_listens
from deploy.local.processes import Command, Leash, LeashedProcess, wait_for, wait_until

_READY_SECONDS = 120.0
_FORMAT_SECONDS = 60.0
_TRAINING_SECONDS = 180.0
_ANSWER_SECONDS = 5
_SCRAM = "org.apache.kafka.common.security.scram.ScramLoginModule"


@dataclass(frozen=True)
class Detour:
    """A second way to a broker: a port that it listens on, and the port that its clients are told instead."""

    port: int
    advertised: int


@dataclass(frozen=True)
class Guard:
    """A listener that asks who comes, by SCRAM over TLS, and keeps access lists for whoever comes by it.

    By the other listeners comes whom Kafka calls ANONYMOUS, who may do everything, and so makes the users.
    """

    port: int
    #: certificate with its chain, and private key, as PEM
    certificate: str = field(repr=False)
    key: str = field(repr=False)
    #: the user who may do everything here as well
    administrator: str = "admin"

    def settings(self) -> dict[str, object]:
        """Return what a broker is told of it, besides the listener itself."""
        here = "listener.name.guarded"
        return {
            "authorizer.class.name": "org.apache.kafka.metadata.authorizer.StandardAuthorizer",
            "super.users": f"User:ANONYMOUS;User:{self.administrator}",
            "sasl.enabled.mechanisms": "SCRAM-SHA-512",
            f"{here}.scram-sha-512.sasl.jaas.config": f"{_SCRAM} required;",
            f"{here}.ssl.keystore.type": "PEM",
            f"{here}.ssl.keystore.certificate.chain": self.certificate.replace("\n", "\\n"),
            f"{here}.ssl.keystore.key": self.key.replace("\n", "\\n"),
        }


@dataclass(frozen=True)
class Seat:
    """One broker's place in the cluster."""

    node_id: int
    port: int
    controller_port: int
    detours: Sequence[Detour] = ()
    guard: Guard | None = None

    @property
    def name(self) -> str:
        """Its name in `.local/stack.json`."""
        return f"kafka-{self.node_id}"


def start_kafka(
    leash: Leash,
    directory: Path,
    ports: Sequence[int],
    *,
    throughput: bool = False,
    lasting: bool = False,
    detours: Sequence[Sequence[Detour]] = (),
    guard: Guard | None = None,
) -> tuple[str, list[LeashedProcess]]:
    """Start a cluster of combined brokers and controllers; return its bootstrap servers once all of them serve.

    There is a broker for every two `ports`, the first for clients and the second for controllers.
    A single broker may have a `guard` beside.
    Every broker may have `detours`; clients that come by the first of one's stay on the first of each.
    `throughput` leaves the JVM its optimising compiler, which is slower to start and faster to run.
    On a Java that can keep loaded classes, the first start of a machine makes a cache of them first.
    Brokers whose data does not outlast them are killed when the stack ends, the others are asked to end.
    """
    jars = kafka_jars()
    java = _java(leash, directory, jars, throughput=throughput)
    pairs = zip(ports[::2], ports[1::2], detours or [()] * (len(ports) // 2), strict=True)
    seats = [
        Seat(node_id, port, controller_port, ways, guard)
        for node_id, (port, controller_port, ways) in enumerate(pairs, start=1)
    ]
    _format(leash, java, jars[0].parent, directory, seats)
    bootstrap = ",".join(f"{LOOPBACK}:{seat.port}" for seat in seats)
    ready = partial(_wait_until_seen, bootstrap, len(seats))
    stop = signal.SIGTERM if lasting else signal.SIGKILL
    started = [LeashedProcess(leash, _broker(java, directory, seat, stop), ready) for seat in seats]
    for broker in started:
        broker.wait_ready()
    return bootstrap, started


def _wait_until_seen(bootstrap: str, brokers: int, broker: LeashedProcess) -> None:
    wait_until(broker, lambda: brokers_seen(bootstrap) >= brokers, seconds=_READY_SECONDS)


def brokers_seen(bootstrap: str) -> int:
    """Ask Kafka how many brokers are registered and take part; 0 where it does not answer."""
    # aiokafka logs an error for every address that refuses, so it is asked only once somebody listens.
    if not all(somebody_listens(address) for address in bootstrap.split(",")):
        return 0

    async def count() -> int:
        admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=_ANSWER_SECONDS * 1000)
        try:
            await admin.start()
            return len((await admin.describe_cluster())["brokers"])
        except (KafkaError, OSError, TimeoutError):
            return 0
        finally:
            await admin.close()

    return completed(count())


def _broker(java: Sequence[str], directory: Path, seat: Seat, stop: signal.Signals) -> Command:
    return Command(
        name=seat.name,
        # Libraries that it unpacks are left behind by one that is killed.
        argv=[*java, f"-Djava.io.tmpdir={directory}", "kafka.Kafka", str(_configuration_of(directory, seat))],
        log=directory / f"{seat.name}.log",
        stop=stop,
    )


def _java(leash: Leash, directory: Path, jars: Sequence[Path], *, throughput: bool) -> list[str]:
    """Return the command line up to the name of a class of Kafka's."""
    java = str(find_java())
    quick, flags = ["-XX:TieredStopAtLevel=1"], _jvm_flags(jars)
    cache = aot_cache(Path(java), jars, partial(_train, leash, directory, jars[0].parent, [java, *quick, *flags]))
    loaded = [f"-XX:AOTCache={cache}"] if cache else []
    return [java, *loaded, *([] if throughput else quick), *flags]


def _train(leash: Leash, directory: Path, jars: Path, java: Sequence[str], cache: Path) -> None:
    """Run a broker of its own until it serves, and let it write the cache as it ends."""
    with tempfile.TemporaryDirectory(dir=directory, prefix="training-") as place:
        port, controller_port = free_ports(2)
        seat = Seat(1, port, controller_port)
        _format(leash, java, jars, Path(place), [seat])
        command = _broker([*java, f"-XX:AOTCacheOutput={cache}"], Path(place), seat, signal.SIGKILL)
        broker = LeashedProcess(leash, command, partial(_wait_until_seen, f"{LOOPBACK}:{port}", 1))
        broker.wait_ready()
        broker.send_signal(signal.SIGTERM)
        wait_for("Kafka's AOT cache", lambda: not broker.alive(), seconds=_TRAINING_SECONDS, log=broker.log)


def _jvm_flags(jars: Sequence[Path]) -> list[str]:
    class_path = ":".join(map(str, jars))
    logging = ["-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true"]
    return ["-Xmx512m", *logging, "-cp", class_path]


def _configuration_of(directory: Path, seat: Seat) -> Path:
    return directory / f"{seat.name}.properties"


def _data_of(directory: Path, seat: Seat) -> Path:
    return directory / f"{seat.name}-log"


def _format(leash: Leash, java: Sequence[str], jars: Path, directory: Path, seats: Sequence[Seat]) -> None:
    """Write each broker's configuration and its formatted data, both only where it has none yet."""

    def format_one(seat: Seat) -> None:
        configuration = _configuration_of(directory, seat)
        if configuration.exists():
            return
        unfinished = configuration.with_suffix(".new")
        unfinished.write_text(_properties(directory, seat, seats))
        template = formatted(jars, seat.node_id, partial(_run_format, leash, java, directory, seat))
        shutil.copytree(template, _data_of(directory, seat), dirs_exist_ok=True)
        unfinished.replace(configuration)

    together(partial(format_one, seat) for seat in seats)


def _run_format(leash: Leash, java: Sequence[str], directory: Path, seat: Seat, place: Path) -> None:
    configuration = directory / f"{seat.name}-format.properties"
    configuration.write_text(_as_properties({**_settings(directory, seat, [seat]), "log.dirs": place}))
    tool = [*java, "kafka.tools.StorageTool", "format", "-t", CLUSTER, "-c", str(configuration)]
    command = Command(name=f"{seat.name}-format", argv=tool, log=directory / f"{seat.name}.log")
    if leash.run(command, seconds=_FORMAT_SECONDS):
        raise ProcessFailedError(f"The data of {seat.name} could not be formatted.", command.log)


def shared_settings(copies: int) -> dict[str, object]:
    """Return what every broker of a cluster of `copies` brokers is told, wherever it runs."""
    return {
        "process.roles": "broker,controller",
        "controller.listener.names": "CONTROLLER",
        "auto.create.topics.enable": "false",
        "default.replication.factor": copies,
        "min.insync.replicas": 2 if copies > 1 else 1,
        "offsets.topic.replication.factor": copies,
        "offsets.topic.num.partitions": 3,
        "transaction.state.log.replication.factor": copies,
        "transaction.state.log.min.isr": 2 if copies > 1 else 1,
        "transaction.state.log.num.partitions": 3,
        "share.coordinator.state.topic.replication.factor": copies,
        "share.coordinator.state.topic.min.isr": 1,
        "group.initial.rebalance.delay.ms": 0,
        # Tests that kill consumers must not wait for the usual least session of six seconds.
        "group.min.session.timeout.ms": 2000,
        # A killed broker cannot register again before its session has ended: nine seconds otherwise.
        "broker.session.timeout.ms": 3000,
        "broker.heartbeat.interval.ms": 500,
        # The default of 128 MB is allocated at start, a quarter of the heap.
        "log.cleaner.dedupe.buffer.size": 16 * 1024 * 1024,
    }


def _properties(directory: Path, seat: Seat, seats: Sequence[Seat]) -> str:
    return _as_properties(_settings(directory, seat, seats))


def _as_properties(settings: Mapping[str, object]) -> str:
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def _settings(directory: Path, seat: Seat, seats: Sequence[Seat]) -> dict[str, object]:
    ways = {"PLAINTEXT": Detour(seat.port, seat.port)}
    ways |= {f"DETOUR{number}": detour for number, detour in enumerate(seat.detours)}
    protocols = dict.fromkeys((*ways, "CONTROLLER"), "PLAINTEXT")
    if seat.guard is not None:
        ways |= {"GUARDED": Detour(seat.guard.port, seat.guard.port)}
        protocols |= {"GUARDED": "SASL_SSL"}
    listeners = [f"{name}://{LOOPBACK}:{way.port}" for name, way in ways.items()]
    return shared_settings(len(seats)) | {
        "node.id": seat.node_id,
        "controller.quorum.voters": ",".join(f"{each.node_id}@{LOOPBACK}:{each.controller_port}" for each in seats),
        "listeners": ",".join([*listeners, f"CONTROLLER://{LOOPBACK}:{seat.controller_port}"]),
        "advertised.listeners": ",".join(f"{name}://{LOOPBACK}:{way.advertised}" for name, way in ways.items()),
        "listener.security.protocol.map": ",".join(f"{name}:{protocol}" for name, protocol in protocols.items()),
        "inter.broker.listener.name": "PLAINTEXT",
        "log.dirs": _data_of(directory, seat),
        **(seat.guard.settings() if seat.guard else {}),
    }

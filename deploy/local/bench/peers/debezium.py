"""What Debezium and the Kafka Connect around it are told: the artefacts, the JVM, the worker, the connector.

`debezium-3.6.1.sha256` lists what Kafka Connect 4.3.1 (`org.apache.kafka:connect-runtime`, `-api`, `-json`,
`-transforms`, and `kafka-clients` of the broker's version), `io.debezium:debezium-api` and
`debezium-connector-postgres` 3.6.1.Final and `org.slf4j:slf4j-simple` resolve to.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import unquote, urlsplit

from deploy.local.artefacts import Fetch, jars_of
from deploy.local.errors import ArtefactRefusedError, StackUnavailableError

SUMS = Path(__file__).with_name("debezium-3.6.1.sha256")

#: the table in Debezium's shape, its publication and its replication slot
TABLE = "debezium_outbox"
PUBLICATION = "bench_peers"
SLOT = "bench_peers"
CONNECTOR = "outbox"

#: what Kafka's own start script gives every JVM, besides its heap
_JVM = ("-server", "-XX:+UseG1GC", "-XX:MaxGCPauseMillis=20", "-XX:InitiatingHeapOccupancyPercent=35")

#: columns beside the five that the router expects, which become headers: what differs from event to event in ours
HEADERS = {
    "type": "ce_type",
    "source": "ce_source",
    "client_id": "ce_clientid",
    "correlation_id": "ce_correlationid",
    "time": "ce_time",
}


@dataclass(frozen=True)
class Variant:
    """One way to run it."""

    name: str
    heap: Sequence[str]
    connector: Mapping[str, object] = field(default_factory=dict)


#: nothing but what has to be said; the heap is that of Kafka's `connect-standalone` script
DEFAULT = Variant("Debezium, default", ("-Xms256M", "-Xmx2G"))

#: Its documentation names these settings, and asks for a queue that is larger than a batch; it gives no values. So:
#: four times the default's batch and queue, a wait for a batch to fill that no event notices, a heap that neither grows
#: nor shrinks, and the producer's settings that our relay has.
TUNED = Variant(
    "Debezium, tuned",
    ("-Xms512M", "-Xmx512M"),
    {
        "max.batch.size": 8192,
        "max.queue.size": 32768,
        "poll.interval.ms": 10,
        "producer.override.linger.ms": 5,
        "producer.override.batch.size": 512 * 1024,
        "producer.override.buffer.memory": 64 * 1024 * 1024,
        "producer.override.compression.type": "none",
    },
)


def debezium_jars(fetch: Fetch | None = None, cache: Path | None = None) -> list[Path]:
    """Return the class path, fetched where the cache has none; raises StackUnavailableError with what would help."""
    try:
        return jars_of(SUMS, "Debezium and Kafka Connect (40 MB, once)", cache, fetch)
    except ArtefactRefusedError:
        raise
    except StackUnavailableError as error:
        raise StackUnavailableError(
            f"Debezium and Kafka Connect are missing ({error}): this needs a Maven repository that serves them, "
            f"which PORTFOLIO_BUS_STACK_MAVEN may name."
        ) from error


def command_line(java: Path, jars: Sequence[Path], variant: Variant, worker: Path) -> list[str]:
    """How a standalone worker is started that has no connector yet."""
    logging = ("-Dorg.slf4j.simpleLogger.defaultLogLevel=warn", "-Dorg.slf4j.simpleLogger.showDateTime=true")
    main = "org.apache.kafka.connect.cli.ConnectStandalone"
    return [str(java), *variant.heap, *_JVM, *logging, "-cp", ":".join(map(str, jars)), main, str(worker)]


def worker_properties(bootstrap: str, port: int, offsets: Path) -> str:
    """The file that a standalone worker is started with."""
    settings = {
        "bootstrap.servers": bootstrap,
        "listeners": f"http://127.0.0.1:{port}",
        # the bytes of the key and of the body as they stand in the table
        "key.converter": "org.apache.kafka.connect.storage.StringConverter",
        "value.converter": "io.debezium.converters.BinaryDataConverter",
        "offset.storage.file.filename": offsets,
        # Everything is on the class path and registered there: searching it would only make the start slow.
        "plugin.discovery": "service_load",
    }
    return "".join(f"{key}={value}\n" for key, value in settings.items())


def connector(dsn: str, topic: str, prefix: str, variant: Variant) -> dict[str, str]:
    """The connector's configuration: one table, its rows' keys and bodies to one topic."""
    database = urlsplit(dsn)
    settings: dict[str, object] = {
        "connector.class": "io.debezium.connector.postgresql.PostgresConnector",
        "tasks.max": 1,
        "database.hostname": database.hostname,
        "database.port": database.port or 5432,
        "database.user": unquote(database.username or ""),
        "database.password": unquote(database.password or ""),
        "database.dbname": database.path.removeprefix("/"),
        "topic.prefix": prefix,
        "plugin.name": "pgoutput",
        "slot.name": SLOT,
        "publication.name": PUBLICATION,
        # Slot and publication are made before the first row: what waits is read from there, and not by a snapshot.
        "publication.autocreate.mode": "disabled",
        "snapshot.mode": "no_data",
        "table.include.list": f"public.{TABLE}",
        "transforms": "outbox",
        "transforms.outbox.type": "io.debezium.transforms.outbox.EventRouter",
        "transforms.outbox.route.topic.replacement": topic,
        "transforms.outbox.table.fields.additional.placement": ",".join(
            f"{column}:header:{header}" for column, header in HEADERS.items()
        ),
        **variant.connector,
    }
    return {key: str(value) for key, value in settings.items()}

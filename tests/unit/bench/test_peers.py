"""What `make bench-peers` rests on and can be looked at without running it."""

from dataclasses import replace
from pathlib import Path, PurePosixPath
from uuid import uuid4

import pytest
from aiokafka import ConsumerRecord

from deploy.local import artefacts
from deploy.local.artefacts import KAFKA_VERSION, read_sums
from deploy.local.bench.backlog import PAYLOAD
from deploy.local.bench.figures import Figure
from deploy.local.bench.peers.__main__ import side_by_side
from deploy.local.bench.peers.connect import arrived
from deploy.local.bench.peers.debezium import (
    DEFAULT,
    HEADERS,
    SUMS,
    TUNED,
    Variant,
    command_line,
    connector,
    debezium_jars,
    worker_properties,
)
from deploy.local.bench.peers.likeness import difference
from deploy.local.bench.results import table
from deploy.local.errors import ProcessFailedError, StackUnavailableError
from shared.contracts import partition_of
from shared.contracts.topics import DEFAULT_PARTITIONS

DSN = "postgresql://bench:p%40ss@127.0.0.1:5433/outboxes"
RUNNING = {"connector": {"state": "RUNNING"}, "tasks": [{"state": "RUNNING"}]}


def test_the_sums_cover_debezium_and_kafka_connect_of_the_brokers_version() -> None:
    names = {path.name for path in read_sums(SUMS)}
    assert {f"connect-runtime-{KAFKA_VERSION}.jar", f"kafka-clients-{KAFKA_VERSION}.jar"} <= names
    assert {"debezium-connector-postgres-3.6.1.Final.jar", "debezium-connect-plugins-3.6.1.Final.jar"} <= names
    assert len(names) == len(read_sums(SUMS)), "all jars lie in one folder"


def test_what_the_broker_has_too_is_the_same_file() -> None:
    ours, brokers = read_sums(SUMS), read_sums(artefacts.SUMS)
    assert {path: digest for path, digest in ours.items() if brokers.get(path, digest) != digest} == {}


def test_artefacts_that_nobody_serves_are_told_in_one_sentence(tmp_path: Path) -> None:
    def refuse(path: PurePosixPath, directory: Path) -> Path:
        raise OSError(path, directory)

    with pytest.raises(StackUnavailableError, match=r"^Debezium and Kafka Connect are missing .*_STACK_MAVEN may name"):
        debezium_jars(refuse, tmp_path)


def test_the_connector_reads_one_table_into_one_topic() -> None:
    told = connector(DSN, "peers.orders", "connect-1", DEFAULT)
    assert told["database.password"] == "p@ss"
    assert (told["database.hostname"], told["database.port"], told["database.dbname"]) == (
        "127.0.0.1",
        "5433",
        "outboxes",
    )
    assert told["transforms.outbox.route.topic.replacement"] == "peers.orders"
    assert told["table.include.list"] == "public.debezium_outbox"
    assert all(
        f":header:{name}" in told["transforms.outbox.table.fields.additional.placement"] for name in HEADERS.values()
    )


def test_nothing_of_debeziums_own_settings_is_changed_by_default() -> None:
    default, tuned = (connector(DSN, "topic", "name", variant) for variant in (DEFAULT, TUNED))
    assert {key: value for key, value in tuned.items() if default.get(key) != value} == {
        key: str(value) for key, value in TUNED.connector.items()
    }
    assert not default.keys() & {"max.batch.size", "max.queue.size", "poll.interval.ms"}


@pytest.mark.parametrize("variant", [DEFAULT, TUNED])
def test_a_worker_keeps_its_offsets_where_it_is_told_to_and_has_the_variants_heap(variant: Variant) -> None:
    properties = worker_properties("127.0.0.1:9092", 8083, Path("here.offsets")).splitlines()
    assert {"listeners=http://127.0.0.1:8083", "offset.storage.file.filename=here.offsets"} <= set(properties)
    command = command_line(Path("java"), [Path("a.jar"), Path("b.jar")], variant, Path("worker.properties"))
    assert command[1:3] == list(variant.heap)
    assert command[-3:] == ["a.jar:b.jar", "org.apache.kafka.connect.cli.ConnectStandalone", "worker.properties"]


def test_a_connector_runs_once_its_task_does() -> None:
    assert arrived(RUNNING, "RUNNING")
    assert not arrived({"connector": {"state": "RUNNING"}, "tasks": []}, "RUNNING")
    assert not arrived(RUNNING, "STOPPED")
    assert arrived({"connector": {"state": "STOPPED"}, "tasks": []}, "STOPPED")
    assert not arrived({}, "STOPPED")


def test_a_failed_task_is_told_with_its_reason() -> None:
    status = {
        "connector": {"state": "RUNNING"},
        "tasks": [{"state": "FAILED", "trace": "no slot\nat a\n" + "at b\n" * 99}],
    }
    with pytest.raises(ProcessFailedError, match="no slot") as failure:
        arrived(status, "RUNNING")
    assert len(str(failure.value).splitlines()) <= 10


def test_a_record_is_like_ours_where_body_key_and_headers_are() -> None:
    like = _record()
    assert difference(like) == ""
    assert "body" in difference(replace(like, value=b"{}"))
    assert "partition" in difference(replace(like, partition=(like.partition + 1) % DEFAULT_PARTITIONS))
    assert "ce_clientid" in difference(replace(like, headers=[("ce_type", b"OrderPlaced")]))


def test_figures_of_one_kind_stand_below_each_other() -> None:
    collected = {
        ("rate", "/s", "ours"): [1.0],
        ("time", "ms", "ours"): [2.0],
        ("rate", "/s", "theirs"): [3.0, 4.0],
    }
    assert [(each.name, each.unit, each.runs) for each in side_by_side(collected)] == [
        ("rate: ours", "/s", [1.0]),
        ("rate: theirs", "/s", [3.0, 4.0]),
        ("time: ours", "ms", [2.0]),
    ]


def test_a_table_has_columns_of_limits_where_there_is_one() -> None:
    without, limited = Figure("rate", "/s", [1.0, 2.0]), Figure("time", "ms", [1.0], limit=2, limit_is="promised")
    assert [column.header for column in table([without]).columns] == ["what", "median", "spread"]
    assert [column.header for column in table([without, limited]).columns][3:] == ["limit", "the limit is"]


def _record() -> "ConsumerRecord[bytes, bytes]":
    key = str(uuid4())
    return ConsumerRecord(
        topic="topic",
        partition=partition_of(key, DEFAULT_PARTITIONS),
        offset=0,
        timestamp=0,
        timestamp_type=0,
        key=key.encode(),
        value=PAYLOAD,
        checksum=None,
        serialized_key_size=0,
        serialized_value_size=0,
        headers=[(name, b"OrderPlaced") for name in HEADERS.values()],
    )

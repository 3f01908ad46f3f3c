"""Where Kafka and PostgreSQL come from, and what is said when they come from nowhere."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path, PurePosixPath

import pytest

from deploy.local.artefacts import SUMS, kafka_jars, read_sums
from deploy.local.containers import Containers
from deploy.local.errors import ArtefactRefusedError, StackUnavailableError
from deploy.local.kafka import brokers_seen
from deploy.local.processes import Node
from deploy.local.services import REPOSITORY
from deploy.local.stack import KAFKA_VARIABLE, POSTGRES_VARIABLE, Stack, local_stack

from .conftest import wait_until

_PATH = "org/example/broker/1.0/broker-1.0.jar"
_CONTENT = b"a broker"


def _sums(place: Path, content: bytes = _CONTENT) -> Path:
    file = place / "broker-1.0.sha256"
    file.write_text(f"{hashlib.sha256(content).hexdigest()}  {_PATH}\n")
    return file


def _fetch(path: PurePosixPath, directory: Path) -> Path:
    file = directory / path.name
    file.write_bytes(_CONTENT)
    return file


def test_addresses_in_the_environment_win_and_start_nothing(own_stack: Stack, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv(KAFKA_VARIABLE, own_stack.kafka)
    monkeypatch.setenv(POSTGRES_VARIABLE, own_stack.postgres)
    with local_stack() as stack:
        assert (stack.kafka, stack.postgres) == (own_stack.kafka, own_stack.postgres)
        assert not stack.nodes
        assert stack.create_database("pointed_at").endswith("/pointed_at")


def test_an_engine_that_cannot_serve_is_named_before_a_process_takes_its_place(
    own_stack: Stack, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    class WithoutImages:
        def start_kafka(self, brokers: int) -> tuple[str, list[Node]]:
            raise StackUnavailableError(f"no image for {brokers} brokers could be pulled")

        def start_postgres(self) -> tuple[str, list[Node]]:
            raise AssertionError

        def stop(self) -> None:
            pass

    monkeypatch.setattr(Containers, "where_an_engine_answers", WithoutImages)
    monkeypatch.setenv(POSTGRES_VARIABLE, own_stack.postgres)
    with local_stack() as stack:
        assert brokers_seen(stack.kafka) == 1
    said = " ".join(capsys.readouterr().err.split())
    assert "The Docker engine does not serve Apache Kafka (no image for 1 brokers could be pulled)" in said
    assert "PostgreSQL" not in said


def test_one_sentence_says_what_is_missing_when_nothing_serves(tmp_path: Path) -> None:
    nothing_serves = {"XDG_CACHE_HOME": str(tmp_path), "HOME": str(tmp_path), "HTTPS_PROXY": "http://127.0.0.1:9"}
    result = subprocess.run(
        [sys.executable, "-m", "deploy.local", "up", "--stack-file", str(tmp_path / "stack.json")],
        env={**os.environ, **nothing_serves},
        cwd=REPOSITORY,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    said = result.stderr.splitlines()[-1]
    assert result.returncode == 1
    assert "Traceback" not in result.stderr
    assert said.startswith("Apache Kafka is missing (no Maven repository served")
    assert all(way in said for way in (KAFKA_VARIABLE, "Docker", "Java 17"))
    assert not (tmp_path / "stack.json").exists()


def test_the_sums_of_the_repository_cover_the_broker_and_its_version() -> None:
    names = {path.name for path in read_sums(SUMS)}
    assert {"kafka_2.13-4.3.1.jar", "kafka-clients-4.3.1.jar", "slf4j-simple-1.7.36.jar"} <= names


def test_a_fetched_file_with_another_sum_is_refused_and_not_kept(tmp_path: Path) -> None:
    sums = _sums(tmp_path, content=b"another broker")
    with pytest.raises(ArtefactRefusedError, match=r"broker-1\.0\.jar is not the file that is expected"):
        kafka_jars(tmp_path / "cache", sums, _fetch)
    assert [left.name for left in (tmp_path / "cache").iterdir()] == ["broker-1.0.lock"]


def test_a_cached_file_that_was_changed_is_refused(tmp_path: Path) -> None:
    [jar] = kafka_jars(tmp_path / "cache", _sums(tmp_path), _fetch)
    jar.write_bytes(b"something else")
    with pytest.raises(ArtefactRefusedError, match="delete"):
        kafka_jars(tmp_path / "cache", _sums(tmp_path), _fetch)


def test_starters_at_the_same_time_fetch_once(tmp_path: Path) -> None:
    fetched: list[PurePosixPath] = []
    sums = _sums(tmp_path)

    def fetch(path: PurePosixPath, directory: Path) -> Path:
        fetched.append(path)
        return _fetch(path, directory)

    with ThreadPoolExecutor(4) as pool:
        found = list(pool.map(lambda _: kafka_jars(tmp_path / "cache", sums, fetch), range(4)))
    assert fetched == [PurePosixPath(_PATH)]
    assert all(jars == found[0] for jars in found)


def test_a_starter_killed_while_it_fetches_leaves_nothing_locked(tmp_path: Path) -> None:
    program = (
        "import sys, threading; from pathlib import Path; from deploy.local.artefacts import kafka_jars;"
        "wait = lambda path, directory: threading.Event().wait();"
        "kafka_jars(Path(sys.argv[1]), Path(sys.argv[2]), wait)"
    )
    cache, sums = tmp_path / "cache", _sums(tmp_path)
    with subprocess.Popen(
        [sys.executable, "-c", program, cache, sums], cwd=REPOSITORY, stderr=subprocess.DEVNULL
    ) as it:
        wait_until(lambda: any(cache.glob("*.part-*/jars")), "it fetches")
        it.send_signal(signal.SIGKILL)

    assert [jar.read_bytes() for jar in kafka_jars(cache, sums, _fetch)] == [_CONTENT]
    assert not list(cache.glob("*.part-*"))

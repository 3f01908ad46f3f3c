"""`make up` says where everything is once it is ready, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import urllib.parse
import urllib.request
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import psutil
import pytest

from deploy.local.services import REPOSITORY, SECRET_KEYS_VARIABLE, service_names
from deploy.local.stack import KAFKA_VARIABLE, POSTGRES_VARIABLE, Stack
from shared.kit.secrets import new_sealing_key

from .conftest import runs, wait_until


@dataclass(frozen=True)
class Up:
    """A `make up` that is ready, and what its stack file said then."""

    process: subprocess.Popen[str]
    stack_file: Path
    document: dict[str, Any]
    #: what runs, by the names in the stack file
    commands: dict[str, str]


@contextmanager
def _up(stack_file: Path, environment: Mapping[str, str]) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "deploy.local", "up", "--stack-file", str(stack_file)]
    with subprocess.Popen(
        argv, cwd=REPOSITORY, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
    ) as process:
        try:
            yield process
        finally:
            process.terminate()


def _document(stack_file: Path, process: subprocess.Popen[str]) -> dict[str, Any]:
    wait_until(lambda: stack_file.exists() or process.poll() is not None, "the stack file is there", 90)
    assert process.poll() is None, process.stdout and process.stdout.read()
    document: dict[str, Any] = json.loads(stack_file.read_text())
    return document


@pytest.fixture(scope="module")
def up(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Up]:
    """One with a Kafka and a PostgreSQL of its own."""
    stack_file = tmp_path_factory.mktemp("up") / "stack.json"
    with _up(stack_file, os.environ) as process:
        document = _document(stack_file, process)
        commands = {name: " ".join(psutil.Process(pid).cmdline()) for name, pid in document["pids"].items()}
        yield Up(process, stack_file, document, commands)


@pytest.fixture
def elsewhere(own_stack: Stack) -> dict[str, str]:
    """The environment in which Kafka and PostgreSQL need not be started."""
    addresses = {KAFKA_VARIABLE: own_stack.kafka, POSTGRES_VARIABLE: own_stack.postgres}
    return {**os.environ, **addresses, SECRET_KEYS_VARIABLE: new_sealing_key()}


def test_the_stack_file_says_where_everything_is(up: Up) -> None:
    document = up.document
    assert up.stack_file.stat().st_mode & 0o777 == 0o600
    assert set(document) == {"kafka", "postgres", "services", "pids", "clients", "console"}
    assert set(document["postgres"]) == set(document["services"]) == set(service_names())
    assert set(document["pids"]) == {"kafka-1", "postgres", "ops_console", *service_names()}
    assert all(dsn.startswith("postgresql://") for dsn in document["postgres"].values())
    assert [set(client) for client in document["clients"]] == [{"client_id", "client_secret"}] * 2
    assert all("leash" not in command for command in up.commands.values())
    assert all(f"services.{name}" in up.commands[name] for name in service_names())


def test_the_console_runs_and_asks_for_the_token_of_the_stack_file(up: Up) -> None:
    console = up.document["console"]
    assert "services.ops_console serve" in up.commands["ops_console"]
    assert console["token"] not in up.commands["ops_console"]
    form = urllib.parse.urlencode({"token": console["token"]}).encode()
    opener = urllib.request.build_opener(urllib.request.HTTPCookieProcessor())
    with opener.open(console["url"], timeout=10) as page:
        assert page.url.endswith("/sign-in")
    with opener.open(f"{console['url']}/sign-in", form, timeout=10) as page:
        assert page.url == f"{console['url']}/"
        assert "Overview" in page.read().decode()


def test_a_second_one_says_that_it_runs_already(up: Up) -> None:
    with _up(up.stack_file, os.environ) as second:
        assert second.wait(30) == 1
        assert second.stdout
        assert "It runs already" in second.stdout.read()
    assert up.stack_file.exists()


def test_a_killed_process_is_named_and_the_others_go_on(up: Up) -> None:
    os.kill(up.document["pids"]["order_service"], signal.SIGKILL)
    assert up.process.stdout
    said: list[str] = []
    while not said or "order_service has ended" not in said[-1]:
        said.append(up.process.stdout.readline())
        assert said[-1], "it says no more"
    assert any(f"The console: {up.document['console']['url']}" in line for line in said)
    assert runs(up.document["pids"]["config_service"])
    assert up.process.poll() is None


def test_what_a_killed_one_has_left_is_replaced_and_ctrl_c_leaves_nothing(
    tmp_path: Path, elsewhere: dict[str, str]
) -> None:
    stack_file = tmp_path / "stack.json"
    with _up(stack_file, elsewhere) as first:
        left = _document(stack_file, first)
        first.kill()

    wait_until(lambda: not any(runs(pid) for pid in left["pids"].values()), "what the killed one started is gone", 60)
    assert stack_file.exists()
    with _up(stack_file, elsewhere) as second:
        wait_until(lambda: not stack_file.exists(), "the stale file is gone")
        document = _document(stack_file, second)
        assert document["pids"] != left["pids"]

        second.send_signal(signal.SIGINT)
        assert second.wait(60) == 0
        assert not stack_file.exists()
        assert not any(runs(pid) for pid in document["pids"].values())

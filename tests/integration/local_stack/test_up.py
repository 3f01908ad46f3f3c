"""`make up` says where everything is once it is ready, and leaves nothing behind."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil

from deploy.local.services import REPOSITORY, service_names

from .conftest import runs, wait_until


@contextmanager
def _up(stack_file: Path) -> Iterator[subprocess.Popen[str]]:
    argv = [sys.executable, "-m", "deploy.local", "up", "--stack-file", str(stack_file)]
    with subprocess.Popen(argv, cwd=REPOSITORY, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True) as process:
        try:
            yield process
        finally:
            process.terminate()


def _document(stack_file: Path, process: subprocess.Popen[str]) -> dict[str, Any]:
    wait_until(lambda: stack_file.exists() or process.poll() is not None, "the stack file is there", 90)
    assert process.poll() is None, process.stdout and process.stdout.read()
    document: dict[str, Any] = json.loads(stack_file.read_text())
    return document


def test_the_stack_file_says_where_everything_is_until_it_stops(tmp_path: Path) -> None:
    stack_file = tmp_path / "stack.json"
    with _up(stack_file) as process:
        document = _document(stack_file, process)
        assert stack_file.stat().st_mode & 0o777 == 0o600
        assert set(document) == {"kafka", "postgres", "services", "pids", "clients"}
        assert set(document["postgres"]) == set(document["services"]) == set(service_names())
        assert set(document["pids"]) == {"kafka-1", "postgres", *service_names()}
        assert all(dsn.startswith("postgresql://") for dsn in document["postgres"].values())
        assert [set(client) for client in document["clients"]] == [{"client_id", "client_secret"}] * 2
        commands = {name: " ".join(psutil.Process(pid).cmdline()) for name, pid in document["pids"].items()}
        assert all("leash" not in command for command in commands.values())
        assert all(f"services.{name}" in commands[name] for name in service_names())

        process.send_signal(signal.SIGINT)
        assert process.wait(60) == 0
        assert not stack_file.exists()
        assert not any(runs(pid) for pid in document["pids"].values())


def test_a_second_one_says_that_it_runs_already_and_a_killed_one_is_replaced(tmp_path: Path) -> None:
    stack_file = tmp_path / "stack.json"
    with _up(stack_file) as first:
        left = _document(stack_file, first)
        with _up(stack_file) as second:
            assert second.wait(30) == 1
            assert second.stdout
            assert "It runs already" in second.stdout.read()
        first.kill()

    wait_until(lambda: not any(runs(pid) for pid in left["pids"].values()), "what the killed one started is gone", 60)
    assert stack_file.exists()
    with _up(stack_file) as third:
        wait_until(lambda: not stack_file.exists(), "the stale file is gone")
        assert _document(stack_file, third)["pids"] != left["pids"]


def test_a_killed_process_is_named_and_the_others_go_on(tmp_path: Path) -> None:
    stack_file = tmp_path / "stack.json"
    with _up(stack_file) as process:
        document = _document(stack_file, process)
        os.kill(document["pids"]["order_service"], signal.SIGKILL)
        assert process.stdout
        said = iter(process.stdout.readline, "")
        assert any("order_service has ended" in line for line in said)
        assert runs(document["pids"]["config_service"])
        assert process.poll() is None

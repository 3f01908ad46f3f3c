"""A stack of this folder's own, whose brokers and databases its tests may kill, and programs that start one."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import psutil
import pytest

from deploy.local.services import REPOSITORY
from deploy.local.stack import KAFKA_VARIABLE, POSTGRES_VARIABLE, Stack, local_stack

_STARTER = """
import json, sys, threading
from deploy.local.stack import local_stack
with local_stack() as stack:
    pids = {name: node.pid for name, node in stack.nodes.items()}
    print(json.dumps({"directory": str(stack.directory), "pids": pids}), flush=True)
    threading.Event().wait()
"""


@dataclass(frozen=True)
class Starter:
    """A program that has started a stack, and what it started."""

    process: subprocess.Popen[str]
    directory: Path
    pids: dict[str, int]


def wait_until(holds: Callable[[], bool], what: str, seconds: float = 30) -> None:
    """Wait until `holds` says so, and fail with `what` was waited for when the time is over."""
    deadline = time.monotonic() + seconds
    while not holds():
        assert time.monotonic() < deadline, f"not within {seconds} s: {what}"
        time.sleep(0.05)


def runs(pid: int) -> bool:
    """Tell whether a process with this pid runs; a zombie does not."""
    try:
        return psutil.Process(pid).status() != psutil.STATUS_ZOMBIE
    except psutil.NoSuchProcess:
        return False


@pytest.fixture(autouse=True, scope="package")
def _processes_of_this_machine() -> Iterator[None]:
    """Start real processes, also where the environment or Docker would serve: they are what is tested here."""
    with pytest.MonkeyPatch.context() as patch:
        patch.delenv(KAFKA_VARIABLE, raising=False)
        patch.delenv(POSTGRES_VARIABLE, raising=False)
        patch.setenv("DOCKER_HOST", "tcp://127.0.0.1:9")
        yield


@pytest.fixture(scope="package")
def own_stack(_processes_of_this_machine: None) -> Iterator[Stack]:
    """Serve a stack that nobody else uses."""
    with local_stack() as stack:
        yield stack


@pytest.fixture
def starter() -> Iterator[Starter]:
    """Run a program that has a stack open and waits."""
    process = subprocess.Popen(
        [sys.executable, "-c", _STARTER], stdout=subprocess.PIPE, text=True, cwd=REPOSITORY, env=dict(os.environ)
    )
    with process:
        assert process.stdout
        said = json.loads(process.stdout.readline())
        try:
            yield Starter(process, Path(said["directory"]), said["pids"])
        finally:
            process.kill()

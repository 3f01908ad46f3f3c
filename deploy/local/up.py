"""`make up`: everything runs until Ctrl-C, and `.local/stack.json` says where."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import FrameType
from typing import Any, NoReturn

from rich.console import Console
from rich.table import Table

from deploy.local.errors import StackUnavailableError, last_lines
from deploy.local.processes import LeashedProcess, Node
from deploy.local.services import REPOSITORY, RunningSystem, running_system
from deploy.local.stack import local_stack

STACK_FILE = REPOSITORY / ".local" / "stack.json"

_LOOK_SECONDS = 0.5


class AlreadyRunningError(StackUnavailableError):
    """Another `make up` runs in this clone."""


class _Stopped(BaseException):
    """SIGINT or SIGTERM arrived; not an Exception, so that nothing on the way takes it for a failure."""


def up(
    console: Console,
    *,
    brokers: int = 1,
    throughput: bool = False,
    directory: Path | None = None,
    stack_file: Path = STACK_FILE,
) -> None:
    """Run the whole system until SIGINT or SIGTERM; raises StackUnavailableError where it cannot be started."""
    try:
        with (
            _stops_on_signals(),
            _only_one_at_a_time(stack_file),
            console.status("Starting Kafka and PostgreSQL…") as status,
            local_stack(brokers=brokers, throughput=throughput, directory=directory) as stack,
        ):
            status.update("Starting the services…")
            with running_system(stack) as system:
                system.start_console().process.wait_ready()
                status.stop()
                with _published(stack_file, system.document()):
                    _show(console, system, stack_file)
                    _watch(console, system)
    except _Stopped:
        console.print("Stopped; nothing is left running.")


@contextmanager
def _stops_on_signals() -> Iterator[None]:
    """Turn the first SIGINT or SIGTERM into an orderly stop, which a second one must not break off."""

    def stop(number: int, frame: FrameType | None) -> NoReturn:
        del number, frame
        for each in (signal.SIGINT, signal.SIGTERM):
            signal.signal(each, signal.SIG_IGN)
        raise _Stopped

    before = {each: signal.signal(each, stop) for each in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for each, handler in before.items():
            signal.signal(each, handler)


@contextmanager
def _only_one_at_a_time(stack_file: Path) -> Iterator[None]:
    """Hold a lock that the kernel drops with this process; a stack file without it is left from a killed run."""
    stack_file.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    with stack_file.with_suffix(".lock").open("w") as lock:
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise AlreadyRunningError(f"It runs already: {stack_file} says where, Ctrl-C there stops it.") from error
        stack_file.unlink(missing_ok=True)
        yield


@contextmanager
def _published(stack_file: Path, document: Mapping[str, Any]) -> Iterator[None]:
    """Let the file exist, whole and readable by its owner alone, for as long as what it says holds."""
    unfinished = stack_file.with_suffix(".new")
    unfinished.unlink(missing_ok=True)
    with os.fdopen(os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600), "w") as file:
        json.dump(document, file, indent=2)
    unfinished.replace(stack_file)
    try:
        yield
    finally:
        stack_file.unlink(missing_ok=True)


def _show(console: Console, system: RunningSystem, stack_file: Path) -> None:
    table = Table("what", "where", "pid", title="Everything is ready", title_justify="left")
    table.add_row("Kafka", system.stack.kafka, _pids_of("kafka", system.stack.nodes))
    for name, service in system.services.items():
        table.add_row(name, service.url, str(service.pid))
    table.add_row("PostgreSQL", system.stack.postgres.rpartition("@")[2], _pids_of("postgres", system.stack.nodes))
    for client in system.clients:
        table.add_row("client", client.client_id)
    if system.console:
        table.add_row("ops_console", system.console.process.url, str(system.console.process.pid))
    console.print(table)
    if system.console:
        console.print(f"The console: {system.console.process.url} (its token stands in the file below)")
    console.print(f"Addresses, databases and client secrets: {stack_file}")
    console.print(f"Logs: {system.stack.directory}")
    console.print("Ctrl-C stops everything.")


def _pids_of(beginning: str, nodes: Mapping[str, Node]) -> str:
    return ", ".join(str(node.pid) for name, node in nodes.items() if name.startswith(beginning))


def _watch(console: Console, system: RunningSystem) -> NoReturn:
    """Say once of each process that has ended; whoever killed it, such as a fault test, wants the rest to go on."""
    running: dict[str, Node] = {**system.stack.nodes, **system.services}
    if system.console:
        running["ops_console"] = system.console.process
    while True:
        for ended in [node for node in running.values() if not node.alive()]:
            del running[ended.name]
            console.print(f"[yellow]{ended.name} has ended[/]; the others go on. Its last lines:")
            for line in last_lines(ended.log) if isinstance(ended, LeashedProcess) else []:
                console.print(f"  | {line}", markup=False, highlight=False)
        time.sleep(_LOOK_SECONDS)

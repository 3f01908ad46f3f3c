"""The starter's side of the leash: start processes, look at them, kill them, start them again."""

from __future__ import annotations

import contextlib
import itertools
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from deploy.local.errors import ProcessFailedError

#: tells processes of one name apart: two systems may run on one stack
_STARTED = itertools.count(1)
_POLL_SECONDS = 0.02
_LEASH_GRACE_SECONDS = 90.0

#: Ranks say who stops first: services use Kafka and PostgreSQL, so they go before them.
INFRASTRUCTURE_RANK = 0
SERVICE_RANK = 1


class Node(Protocol):
    """One running part of the stack that a fault test may kill and bring back, process or container."""

    @property
    def name(self) -> str:
        """Its name in `.local/stack.json`: `postgres`, `kafka-1`…, a service's folder name."""

    @property
    def pid(self) -> int:
        """The process id of the real process."""

    def alive(self) -> bool:
        """Tell whether it runs."""

    def kill(self) -> None:
        """SIGKILL it and return once it is gone."""

    def restart(self) -> None:
        """Start it again on the same data and port and return once it serves; kill it first if it runs."""


@dataclass(frozen=True)
class Command:
    """What to run, and how it wants to be stopped."""

    name: str
    argv: Sequence[str]
    log: Path
    #: where what it says of faults goes, if not there as well
    errors: Path | None = None
    env: Mapping[str, str] | None = None
    cwd: Path | None = None
    uid: int | None = None
    gid: int | None = None
    rank: int = INFRASTRUCTURE_RANK
    stop: signal.Signals = signal.SIGTERM
    grace: float = 10.0


class Leash:
    """The process that holds all others; closing it, or dying, ends them and removes `remove`."""

    def __init__(self, directory: Path, *, remove: bool, preloaded: Sequence[str] = ()) -> None:
        """Start the leash with its own log in `directory`, which it removes in the end where `remove` says so.

        Where modules are `preloaded`, programs of their packages (`python -m …`) are forked with these imported.
        """
        self._preloaded = preloaded
        self._lock = threading.Lock()
        self._orders = 0
        self._unread = b""
        self._socket, theirs = socket.socketpair()
        script = Path(__file__).with_name("leash.py")
        removed = [str(directory)] if remove else []
        with theirs, (directory / "leash.log").open("ab") as log:
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(script), *removed],
                stdin=theirs.fileno(),
                stdout=log,
                stderr=log,
                start_new_session=True,
            )

    def start(self, command: Command, key: str | None = None) -> int:
        """Start a process and return its pid; raises ProcessFailedError where it cannot be started.

        `key` names it to the leash where several with the command's name may run at once.
        """
        order = vars(command) | {
            "name": key or command.name,
            "argv": list(command.argv),
            "env": dict(os.environ if command.env is None else command.env),
            "log": str(command.log),
            "errors": str(command.errors or command.log),
            "cwd": str(command.cwd) if command.cwd else None,
            "forked": self._forked(command),
        }
        answer = self._ask("start", order)
        if "error" in answer:
            raise ProcessFailedError(f"{command.name} could not be started: {answer['error']}.")
        return int(answer["pid"])

    def _forked(self, command: Command) -> dict[str, Any] | None:
        packages = {module.partition(".")[0] for module in self._preloaded}
        match command.argv:
            case [sys.executable, "-m", module, *arguments] if module.partition(".")[0] in packages:
                path = [str(command.cwd or Path.cwd()), *filter(None, sys.path)]
                return {"path": path, "preloaded": list(self._preloaded), "program": [module, *arguments]}
        return None

    def run(self, command: Command, *, seconds: float) -> int:
        """Run a process to its end and return its exit code; it is killed when `seconds` have passed."""
        self.start(command)
        deadline = time.monotonic() + seconds
        while (code := self.exit_code(command.name)) is None:
            if time.monotonic() > deadline:
                self.send_signal(command.name, signal.SIGKILL)
            time.sleep(_POLL_SECONDS)
        return code

    def send_signal(self, name: str, number: signal.Signals) -> None:
        """Send a signal to a process, unless it has ended."""
        self._ask("signal", {"name": name, "signal": number})

    def exit_code(self, name: str) -> int | None:
        """Return the exit code of a process (negative: the signal that ended it), None while it runs."""
        code = self._ask("status", {"name": name})["code"]
        return None if code is None else int(code)

    def close(self) -> None:
        """Stop every process in order and return once all are gone and the directory is removed."""
        with contextlib.suppress(OSError):
            self._socket.shutdown(socket.SHUT_RDWR)
        self._socket.close()
        self._process.wait(_LEASH_GRACE_SECONDS)

    def _ask(self, what: str, order: Mapping[str, Any]) -> dict[str, Any]:
        with self._lock:
            self._orders += 1
            line = json.dumps({**order, "do": what, "id": self._orders}).encode()
            try:
                self._socket.sendall(line + b"\n")
                # An answer to an earlier order can be waiting, where a Ctrl-C broke off the reading of it.
                while (answer := self._read_answer())["id"] != self._orders:
                    continue
            except OSError as error:
                raise ProcessFailedError("The local stack has been stopped.") from error
            return answer

    def _read_answer(self) -> dict[str, Any]:
        while b"\n" not in self._unread:
            received = self._socket.recv(65536)
            if not received:
                raise ConnectionResetError
            self._unread += received
        line, _, self._unread = self._unread.partition(b"\n")
        answer: dict[str, Any] = json.loads(line)
        return answer


class LeashedProcess:
    """A process on the leash that is ready once `ready` returns, started again with the same command."""

    def __init__(self, leash: Leash, command: Command, ready: Callable[[LeashedProcess], None]) -> None:
        """Start `command`; `ready` waits until it serves, and raises where it does not."""
        self._leash = leash
        self._ready = ready
        self.command = command
        self._key = f"{command.name}#{next(_STARTED)}"
        self._pid = leash.start(command, self._key)

    @property
    def name(self) -> str:
        """Its name in `.local/stack.json`."""
        return self.command.name

    @property
    def pid(self) -> int:
        """The pid of the process itself, not of the leash."""
        return self._pid

    @property
    def log(self) -> Path:
        """Where its output goes."""
        return self.command.log

    def alive(self) -> bool:
        """Tell whether it runs."""
        return self.exit_code() is None

    def exit_code(self) -> int | None:
        """Return the exit code (negative: the signal that ended it), None while it runs."""
        return self._leash.exit_code(self._key)

    def wait_ready(self) -> None:
        """Return once it serves; raises ProcessFailedError with its last log lines where it does not."""
        self._ready(self)

    def send_signal(self, number: signal.Signals) -> None:
        """Send it a signal, such as SIGSTOP."""
        self._leash.send_signal(self._key, number)

    def kill(self) -> None:
        """SIGKILL it and return once it is gone."""
        self.send_signal(signal.SIGKILL)
        self._wait_gone(self.command.grace)

    def stop(self) -> None:
        """Ask it to end as it likes to be asked, and SIGKILL it when its grace has passed."""
        self.send_signal(self.command.stop)
        if not self._wait_gone(self.command.grace):
            self.kill()

    def restart(self) -> None:
        """Start it again with the same command and return once it serves; a running one is killed first."""
        if self.alive():
            self.kill()
        self.start_again()
        self.wait_ready()

    def start_again(self) -> None:
        """Start one that has ended again, with the command that it has now; it may not be ready yet."""
        self._pid = self._leash.start(self.command, self._key)

    def _wait_gone(self, seconds: float) -> bool:
        deadline = time.monotonic() + seconds
        while self.alive() and time.monotonic() < deadline:
            time.sleep(_POLL_SECONDS)
        return not self.alive()


def wait_until(process: LeashedProcess, serves: Callable[[], bool], *, seconds: float) -> None:
    """Wait until `serves` says so; raises ProcessFailedError when `process` ends or `seconds` have passed."""

    def serves_or_ended() -> bool:
        code = process.exit_code()
        if code is not None:
            raise ProcessFailedError(f"{process.name} ended with status {code} before it was ready.", process.log)
        return serves()

    wait_for(process.name, serves_or_ended, seconds=seconds, log=process.log)


def wait_for(name: str, serves: Callable[[], bool], *, seconds: float, log: Path | None = None) -> None:
    """Wait until `serves` says so; raises ProcessFailedError with the log's last lines when `seconds` have passed."""
    deadline = time.monotonic() + seconds
    while not serves():
        if time.monotonic() > deadline:
            raise ProcessFailedError(f"{name} was not ready within {seconds:.0f} s.", log)
        time.sleep(_POLL_SECONDS)

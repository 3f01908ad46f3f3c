"""Holds the stack's processes so that none outlives the program that started them.

It runs as a process of its own, in a session of its own (a Ctrl-C in the terminal reaches the starter alone), with
one end of a socket pair as its standard input. The starter asks over it, one JSON object a line; when the starter's
end closes, for whatever reason and be it SIGKILL, the leash stops all children in order, removes the directory it
was told to, and ends. It needs the standard library only and is run by path with `python -I -S`.

    python -I -S leash.py [DIRECTORY TO REMOVE IN THE END]
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import shutil
import signal
import socket
import subprocess
import sys
import time
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from deploy.local.forking import Forked

_POLL_SECONDS = 0.02


class Child:
    """One process on the leash, with how it wants to be stopped."""

    def __init__(self, order: dict[str, Any]) -> None:
        """Start it as `order` says.

        argv, env, cwd, log, errors, uid, gid, rank, stop (a signal number), grace (seconds), and forked (see
        below, or None).
        """
        self.rank: int = order["rank"]
        self.stop_signal: int = order["stop"]
        self.grace: float = order["grace"]
        # An empty list of groups clears the starter's; it may only be given together with a change of user.
        identity = {"user": order["uid"], "group": order["gid"], "extra_groups": []} if order["uid"] else {}
        with (
            open(order["log"], "ab") as log,  # noqa: PTH123 - pathlib would double the leash's time to start
            open(order["errors"], "ab") as errors,  # noqa: PTH123 - the same
        ):
            outputs = log.fileno(), errors.fileno()
            self.process: subprocess.Popen[bytes] | Forked = _forked(order, outputs) or subprocess.Popen(
                order["argv"],
                env=order["env"],
                cwd=order["cwd"],
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=errors,
                start_new_session=True,
                **identity,
            )

    def signal(self, number: int) -> None:
        """Send a signal to the process; one that has ended is left alone, as its pid may be another's by now."""
        if self.process.poll() is None:
            self.process.send_signal(number)

    def kill_group(self) -> None:
        """SIGKILL the process and whatever it started in its own session."""
        if self.process.poll() is None:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def _forked(order: dict[str, Any], outputs: tuple[int, int]) -> Forked | None:
    """Fork the process where the starter wants that: `forked` has a path, modules to be shared, and the program."""
    if not order["forked"]:
        return None
    sys.path[:] = order["forked"]["path"]
    from deploy.local.forking import Forked, preload  # noqa: PLC0415 -- before, this process has no path to it

    preload(order["forked"]["preloaded"])
    module, *arguments = order["forked"]["program"]
    return Forked(module, arguments, order["env"], order["cwd"], outputs)


class Children:
    """Every process on the leash by name, and what the starter may ask about them."""

    def __init__(self) -> None:
        """Start with none."""
        self._by_name: dict[str, Child] = {}

    def answer(self, order: dict[str, Any]) -> dict[str, Any]:
        """Do what one line asks for: `start`, `signal` or `status`."""
        if order["do"] == "start":
            try:
                child = self._by_name[order["name"]] = Child(order)
            except Exception as error:
                return {"error": str(error) or repr(error)}
            return {"pid": child.process.pid}
        child = self._by_name[order["name"]]
        if order["do"] == "signal":
            child.signal(order["signal"])
        return {"pid": child.process.pid, "code": child.process.poll()}

    def reap(self) -> None:
        """Collect those that have ended, so that a killed process does not linger as a zombie."""
        for child in self._by_name.values():
            child.process.poll()

    def stop_all(self) -> None:
        """Stop rank by rank, the highest first: those who use a thing stop before the thing."""
        for rank in sorted({child.rank for child in self._by_name.values()}, reverse=True):
            _stop_together([child for child in self._by_name.values() if child.rank == rank])


def _stop_together(children: list[Child]) -> None:
    for child in children:
        child.signal(child.stop_signal)
    begun = time.monotonic()
    for child in children:
        while child.process.poll() is None and time.monotonic() < begun + child.grace:
            time.sleep(_POLL_SECONDS)
        child.kill_group()


def _serve(starter: socket.socket, children: Children) -> None:
    """Answer the starter until its end of the socket closes or the leash itself is told to end."""
    wakeup, wakeup_writer = socket.socketpair()
    wakeup.settimeout(0)
    wakeup_writer.settimeout(0)
    signal.set_wakeup_fd(wakeup_writer.fileno(), warn_on_full_buffer=False)
    for number in (signal.SIGCHLD, signal.SIGTERM):
        signal.signal(number, lambda *_: None)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    with selectors.DefaultSelector() as selector:
        selector.register(starter, selectors.EVENT_READ)
        selector.register(wakeup, selectors.EVENT_READ)
        unread = b""
        while True:
            ready = {key.fileobj for key, _ in selector.select()}
            if wakeup in ready and signal.SIGTERM in wakeup.recv(4096):
                return
            children.reap()
            if starter not in ready:
                continue
            received = starter.recv(65536)
            if not received:
                return
            *lines, unread = (unread + received).split(b"\n")
            for line in lines:
                order = json.loads(line)
                answer = children.answer(order) | {"id": order["id"]}
                starter.sendall(json.dumps(answer).encode() + b"\n")


def main(arguments: list[str]) -> None:
    """Hold children until the starter is gone, then leave nothing of them behind."""
    os.umask(0o077)  # logs and data are for whoever started the stack
    children = Children()
    starter = socket.socket(fileno=0)
    try:
        # A starter that dies between asking and reading the answer shows as a broken pipe.
        with contextlib.suppress(ConnectionError):
            _serve(starter, children)
    finally:
        children.stop_all()
        for directory in arguments:
            shutil.rmtree(directory, ignore_errors=True)


if __name__ == "__main__":
    main(sys.argv[1:])

"""The leash stops what it holds in order, asks before it kills, and cannot be outlived."""

from __future__ import annotations

import signal
import sys
from pathlib import Path

import pytest

from deploy.local.errors import ProcessFailedError
from deploy.local.processes import INFRASTRUCTURE_RANK, SERVICE_RANK, Command, Leash, LeashedProcess
from deploy.local.processes import wait_until as wait_until_it

from .conftest import runs, wait_until

_SAYS_WHEN_IT_STOPS = """
import pathlib, signal, sys, time
def stop(*_):
    with open(sys.argv[2], "a") as order:
        order.write(sys.argv[1] + " ")
    sys.exit()
signal.signal(signal.SIGTERM, stop)
pathlib.Path(sys.argv[1]).touch()
while True:
    time.sleep(60)
"""
_IGNORES_BEING_ASKED = """
import pathlib, signal, sys, time
signal.signal(signal.SIGTERM, signal.SIG_IGN)
pathlib.Path(sys.argv[1]).touch()
while True:
    time.sleep(60)
"""


def _start(leash: Leash, place: Path, name: str, program: str, rank: int = INFRASTRUCTURE_RANK) -> LeashedProcess:
    argv = [sys.executable, "-c", program, name, "order"]
    command = Command(name=name, argv=argv, log=place / f"{name}.log", cwd=place, rank=rank, grace=1)
    process = LeashedProcess(leash, command, lambda it: wait_until_it(it, (place / name).exists, seconds=10))
    process.wait_ready()
    return process


def test_services_are_stopped_before_what_they_use(tmp_path: Path) -> None:
    leash = Leash(tmp_path, remove=False)
    _start(leash, tmp_path, "broker", _SAYS_WHEN_IT_STOPS)
    _start(leash, tmp_path, "service", _SAYS_WHEN_IT_STOPS, rank=SERVICE_RANK)
    leash.close()
    assert (tmp_path / "order").read_text().split() == ["service", "broker"]


def test_what_does_not_stop_when_asked_is_killed(tmp_path: Path) -> None:
    leash = Leash(tmp_path, remove=False)
    stubborn = _start(leash, tmp_path, "stubborn", _IGNORES_BEING_ASKED)
    leash.close()
    assert not runs(stubborn.pid)


def test_two_processes_of_one_name_are_each_their_own(tmp_path: Path) -> None:
    """As of two systems on one stack."""
    leash = Leash(tmp_path, remove=False)
    first, second = (_start(leash, tmp_path, "service", _SAYS_WHEN_IT_STOPS, rank=SERVICE_RANK) for _ in range(2))
    second.stop()
    assert not runs(second.pid)
    assert first.alive()
    leash.close()
    assert not runs(first.pid)


def test_a_killed_process_does_not_stay_behind_as_a_zombie(tmp_path: Path) -> None:
    leash = Leash(tmp_path, remove=False)
    process = _start(leash, tmp_path, "victim", _SAYS_WHEN_IT_STOPS)
    process.send_signal(signal.SIGKILL)
    wait_until(lambda: not Path(f"/proc/{process.pid}").exists(), "the process is gone")
    assert process.exit_code() == -signal.SIGKILL
    leash.close()


def test_a_process_that_ends_too_early_shows_its_last_words(tmp_path: Path) -> None:
    leash = Leash(tmp_path, remove=False)
    with pytest.raises(ProcessFailedError, match=r"(?s)ended with status 3.*no such thing"):
        _start(leash, tmp_path, "broken", "import sys; print('no such thing'); sys.exit(3)")
    leash.close()


def test_a_program_that_is_not_there_is_named(tmp_path: Path) -> None:
    leash = Leash(tmp_path, remove=False)
    with pytest.raises(ProcessFailedError, match="absent could not be started"):
        leash.start(Command(name="absent", argv=["/nowhere/absent"], log=tmp_path / "log"))
    leash.close()

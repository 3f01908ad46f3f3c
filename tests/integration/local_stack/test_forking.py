"""A program that is forked with what it imports is a process as any other."""

from __future__ import annotations

import json
import os
import signal
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from deploy.local.errors import ProcessFailedError
from deploy.local.processes import Command, Leash

from .conftest import runs, wait_until

#: says when it is imported, which takes long in a real one
_SHARED = """
import os
with open(os.environ["IMPORTED"], "a") as file:
    file.write("once ")
"""
_TELLS = """
import json, os, signal, sys
import farm.shared
told = {
    "name": __name__, "arguments": sys.argv[1:], "variables": sorted(set(os.environ) - {"LC_CTYPE"}),
    "place": os.getcwd(), "session": os.getsid(0), "pid": os.getpid(),
    "files": [int(each) for each in os.listdir("/proc/self/fd") if os.path.exists(f"/proc/self/fd/{each}")],
    "handlers": [signal.getsignal(each) == signal.SIG_DFL for each in (signal.SIGTERM, signal.SIGCHLD, signal.SIGHUP)],
    "blocked": len(signal.pthread_sigmask(signal.SIG_BLOCK, [])),
}
print(json.dumps(told))
sys.stderr.write("and this\\n")
"""
_ENDS = """
import atexit, sys
atexit.register(print, "at the end")
print("before")
match sys.argv[1]:
    case "sentence": sys.exit("It cannot be done.")
    case "fault": raise ValueError("no such thing")
    case code: sys.exit(int(code))
"""
_STAYS = """
import threading
threading.Event().wait()
"""


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A package with programs, and somewhere to note each import of what they share."""
    package = tmp_path / "farm"
    package.mkdir()
    programs = {"shared": _SHARED, "tells": _TELLS, "ends": _ENDS, "stays": _STAYS, "__init__": ""}
    for name, program in programs.items():
        (package / f"{name}.py").write_text(program)
    monkeypatch.setenv("IMPORTED", str(tmp_path / "imported"))
    return tmp_path


@pytest.fixture
def leash(place: Path) -> Iterator[Leash]:
    made = Leash(place, remove=False, preloaded=["farm.shared"])
    yield made
    made.close()


@pytest.fixture
def command(place: Path) -> Callable[..., Command]:
    """A command that runs a program of the package."""

    def made(module: str, *arguments: str, name: str = "program") -> Command:
        argv = [sys.executable, "-m", module, *arguments]
        return Command(name=name, argv=argv, log=place / f"{name}.log", env={"ONLY": "this"}, cwd=place, grace=5)

    return made


def test_it_has_an_environment_a_session_files_and_signals_of_its_own(
    place: Path, leash: Leash, command: Callable[..., Command]
) -> None:
    assert leash.run(command("farm.tells", "one", "two"), seconds=20) == 0

    first, second = (place / "program.log").read_text().splitlines()
    told = json.loads(first)
    assert (told["name"], told["arguments"], second) == ("__main__", ["one", "two"], "and this")
    assert (told["variables"], told["place"]) == (["ONLY"], str(place))
    assert (told["session"], told["blocked"]) == (told["pid"], 0)
    assert sorted(told["files"]) == [0, 1, 2]
    assert told["handlers"] == [True, True, True]


def test_what_is_preloaded_is_imported_once_however_many_are_started(
    place: Path, leash: Leash, command: Callable[..., Command]
) -> None:
    pids = {leash.start(command("farm.tells", name=f"program{number}")) for number in range(3)}
    assert len(pids - {os.getpid()}) == 3
    wait_until(lambda: [leash.exit_code(f"program{number}") for number in range(3)] == [0] * 3, "all have ended")
    assert (place / "imported").read_text() == "once "


@pytest.mark.parametrize(
    ("how", "code", "says"),
    [
        ("0", 0, ""),
        ("7", 7, ""),
        ("sentence", 1, "It cannot be done."),
        ("fault", 1, "ValueError: no such thing"),
    ],
)
def test_it_ends_as_the_program_does(
    place: Path, leash: Leash, command: Callable[..., Command], how: str, code: int, says: str
) -> None:
    assert leash.run(command("farm.ends", how), seconds=20) == code
    said = (place / "program.log").read_text()
    assert said.startswith("before\n")
    assert "at the end\n" in said
    assert says in said


def test_it_can_be_killed_and_is_stopped_with_the_leash(leash: Leash, command: Callable[..., Command]) -> None:
    killed, stopped = (leash.start(command("farm.stays", name=name)) for name in ("killed", "stopped"))
    leash.send_signal("killed", signal.SIGKILL)
    wait_until(lambda: leash.exit_code("killed") == -signal.SIGKILL, "it is killed")
    assert not runs(killed)

    assert leash.exit_code("stopped") is None
    leash.close()
    assert not runs(stopped)


def test_what_cannot_be_imported_is_told_and_the_others_stay(place: Path, command: Callable[..., Command]) -> None:
    leash = Leash(place, remove=False, preloaded=["farm.absent"])
    with pytest.raises(ProcessFailedError, match=r"could not be started: No module named 'farm\.absent'"):
        leash.start(command("farm.tells"))
    assert leash.run(command("timeit", "-n1", "pass", name="another"), seconds=20) == 0, "of no preloaded package"
    leash.close()

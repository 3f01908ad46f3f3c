"""A disk that is full for one process, and not for others."""

import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from deploy.local.faults import disks

pytestmark = pytest.mark.skipif(not disks.POSSIBLE, reason="only Linux lets one process bound another's files")

#: Appends a byte for every line that it is told, and says whether it could.
_WRITER = """
import sys
with open(sys.argv[1], "ab", buffering=0) as file:
    for _ in sys.stdin:
        try:
            file.write(b"x")
        except OSError as fault:
            print(fault.errno, flush=True)
        else:
            print("written", flush=True)
"""


@dataclass
class Writer:
    """A process that writes to a file when it is told to."""

    process: subprocess.Popen[str]
    name: str = "writer"

    @property
    def pid(self) -> int:
        return self.process.pid

    def write(self) -> str:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write("\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def alive(self) -> bool:
        return self.process.poll() is None

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def restart(self) -> None:
        raise NotImplementedError


@pytest.fixture
def writer(tmp_path: Path) -> Iterator[Writer]:
    argv: list[Any] = [sys.executable, "-c", _WRITER, tmp_path / "file"]
    with subprocess.Popen(argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        made = Writer(process)
        yield made
        made.kill()


def test_a_process_whose_disk_is_full_can_write_to_no_file_until_there_is_room_again(writer: Writer) -> None:
    assert writer.write() == "written"
    disks.fill(writer)
    assert writer.write() == "27", "EFBIG"
    disks.empty(writer)
    assert writer.write() == "written"


def test_what_has_ended_meanwhile_is_left_alone(writer: Writer) -> None:
    disks.fill(writer)
    writer.kill()
    disks.empty(writer)

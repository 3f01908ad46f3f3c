"""A clock that is moved for one process, while its monotonic clock goes on."""

import os
import subprocess
import sys
import time
from pathlib import Path

import pytest

from deploy.local.faults.clocks import Clocks, clear_away, library

#: Says both clocks for every line that it is told.
_TELLER = """
import sys, time
for _ in sys.stdin:
    print(time.time(), time.monotonic(), flush=True)
"""


@pytest.mark.skipif(library() is None, reason="libfaketime is not installed")
def test_a_clock_is_off_by_what_it_is_told_and_then_right_again(tmp_path: Path) -> None:
    found = library()
    assert found is not None
    clocks = Clocks(tmp_path, ["one"], found)
    with subprocess.Popen(
        [sys.executable, "-c", _TELLER],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **clocks.environment("one")},
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None

        def off() -> tuple[float, float]:
            assert process.stdin is not None
            assert process.stdout is not None
            process.stdin.write("\n")
            process.stdin.flush()
            wall, monotonic = map(float, process.stdout.readline().split())
            return round(wall - time.time(), -1), round(monotonic - time.monotonic(), -1)

        def comes_to(seconds: float) -> bool:
            deadline = time.monotonic() + 20
            while time.monotonic() < deadline:
                if off() == (seconds, 0):
                    return True
                time.sleep(0.05)
            return False

        assert comes_to(0)
        clocks.step("one", 120)
        assert comes_to(120)
        clocks.step("one", -60)
        assert comes_to(-60)
        clocks.step("one", 0)
        assert comes_to(0)
        process.kill()
    clear_away()
    assert not list(Path("/dev/shm").glob(f"*faketime*_{process.pid}"))  # noqa: S108 -- where the library leaves it


def test_a_clock_begins_right_and_its_file_says_how_far_it_is_off(tmp_path: Path) -> None:
    clocks = Clocks(tmp_path, ["one", "two"], Path("/nowhere.so"))
    clocks.step("two", -12.3)

    assert clocks.owners == ["one", "two"]
    assert (tmp_path / "one.clock").read_text() == "+0.0\n"
    assert Path(clocks.environment("two")["FAKETIME_TIMESTAMP_FILE"]).read_text() == "-12.3\n"

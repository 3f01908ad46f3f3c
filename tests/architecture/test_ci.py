"""`.ci/run` runs the tests and the checks whatever happens to either, and ends with what it has started."""

import os
import subprocess
from pathlib import Path

import psutil
import pytest

from .sources import ROOT

_RUN = ROOT / ".ci" / "run"


def _with_make(folder: Path, script: str) -> dict[str, str]:
    """An environment whose `make` is `script`."""
    (folder / "make").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "make").chmod(0o755)
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.mark.parametrize(("failing", "status"), [("neither", 0), ("test", 1), ("check", 1)])
def test_both_are_run_and_either_failing_fails(tmp_path: Path, failing: str, status: int) -> None:
    environment = _with_make(tmp_path, f'echo "$1 ran in $PWD"; test "$1" != {failing}')
    ran = subprocess.run([_RUN], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=20)
    assert ran.returncode == status
    assert [line for line in ran.stdout.splitlines() if " ran in " in line] == [
        f"test ran in {ROOT}",
        f"check ran in {ROOT}",
    ]
    assert ran.stdout.count("FAILED") == status


def test_terminated_it_leaves_no_process(tmp_path: Path) -> None:
    environment = _with_make(tmp_path, "echo started; exec sleep 60")
    with subprocess.Popen([_RUN], cwd=tmp_path, env=environment, stdout=subprocess.PIPE, text=True) as running:
        assert running.stdout is not None
        while running.stdout.readline() != "started\n":
            pass
        children = psutil.Process(running.pid).children(recursive=True)
        running.terminate()
        assert running.wait(timeout=10) != 0
    assert children
    assert not [child for child in children if child.is_running() and child.status() != psutil.STATUS_ZOMBIE]


def test_it_runs_the_tests_as_the_readme_says() -> None:
    assert "\nmake test\n" in (ROOT / "README.md").read_text()
    assert 'for command in "make test" "make check";' in _RUN.read_text()

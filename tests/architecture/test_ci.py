"""`.ci/run` runs the tests and the checks whatever happens to either, and ends with what it has started."""

import os
import shutil
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


def _without_promtool(folder: Path, apt_get: str) -> dict[str, str]:
    """An environment for root, with a `make` that has nothing to do, an `apt-get` that is a script, and no promtool."""
    for name in ("bash", "chmod", "dirname", "rm", "timeout", "env"):
        there = shutil.which(name)
        assert there, name
        (folder / name).symlink_to(there)
    for name, script in {"make": "true", "id": "echo 0", "apt-get": apt_get}.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    return {"PATH": str(folder), "POLICY_RC_D": str(folder / "policy-rc.d")}


def _installs(folder: Path, apt_get: str) -> list[str]:
    """What apt-get was asked for, of its installations."""
    log = folder / "asked"
    environment = _without_promtool(folder, f'echo "$@" >> {log}; {apt_get}')
    assert subprocess.run([_RUN], env=environment, capture_output=True, check=False, timeout=20).returncode == 0
    return [line for line in log.read_text().splitlines() if line.startswith("install")]


def test_a_missing_package_is_installed_without_a_daemon_that_starts(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    (installed,) = _installs(tmp_path, f"test -x {policy}")
    assert installed == "install -qq -y --no-install-recommends prometheus"
    assert not policy.exists(), "the machine is left as it was"


def test_a_package_that_cannot_be_had_is_asked_for_three_times_and_the_tests_run_all_the_same(tmp_path: Path) -> None:
    assert len(_installs(tmp_path, "exit 100")) == 3


def test_it_runs_the_tests_as_the_readme_says() -> None:
    assert "\nmake test\n" in (ROOT / "README.md").read_text()
    assert 'for command in "make test" "make check";' in _RUN.read_text()

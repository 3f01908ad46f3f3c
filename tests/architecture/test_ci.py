"""`.ci/run` runs the tests, the checks and some faults whatever happens to any, and ends what it has started."""

import os
import shutil
import subprocess
from pathlib import Path

import psutil
import pytest

from tests.browser import chromium

from .sources import ROOT

_RUN = ROOT / ".ci" / "run"


def _with_make(folder: Path, script: str) -> dict[str, str]:
    """An environment whose `make` is `script`."""
    (folder / "make").write_text(f"#!/bin/sh\n{script}\n")
    (folder / "make").chmod(0o755)
    return os.environ | {"PATH": f"{folder}:{os.environ['PATH']}"}


@pytest.mark.parametrize(("failing", "status"), [("none", 0), ("test", 1), ("check", 1), ("fuzz", 1), ("faults", 1)])
def test_all_are_run_and_any_that_fails_fails_it(tmp_path: Path, failing: str, status: int) -> None:
    environment = _with_make(tmp_path, f'echo "$1 ran in $PWD"; test "$1" != {failing}')
    ran = subprocess.run([_RUN], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False, timeout=20)
    assert ran.returncode == status
    assert [line for line in ran.stdout.splitlines() if " ran in " in line] == [
        f"{target} ran in {ROOT}" for target in ("test", "check", "fuzz", "faults")
    ]
    assert ran.stdout.count("FAILED") == status


def test_without_a_browser_its_tests_are_skipped_with_a_word_and_fail_in_ci(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.setenv("CI", "false")
    with pytest.raises(pytest.skip.Exception, match="install the package `chromium`"):
        chromium()
    monkeypatch.setenv("CI", "true")
    with pytest.raises(pytest.fail.Exception, match="install the package `chromium`"):
        chromium()


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


def _installs(folder: Path, *, user: int = 0, apt_get: str = "true", **environment: str) -> list[str]:
    """What apt-get, a script here, was asked to install where there is neither promtool nor a browser."""
    log = folder / "asked"
    for name in ("bash", "chmod", "dirname", "rm", "timeout", "env"):
        there = shutil.which(name)
        assert there, name
        (folder / name).symlink_to(there)
    scripts = {
        "make": 'test -n "$PORTFOLIO_BUS_PACKAGES_SOUGHT"',
        "id": f"echo {user}",
        "apt-get": f'echo "$@" >> {log}; {apt_get}',
    }
    for name, script in scripts.items():
        (folder / name).write_text(f"#!/bin/sh\n{script}\n")
        (folder / name).chmod(0o755)
    alone = {"PATH": str(folder), "POLICY_RC_D": str(folder / "policy-rc.d"), **environment}
    ran = subprocess.run([_RUN], env=alone, capture_output=True, text=True, check=False, timeout=20)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    asked = log.read_text().splitlines() if log.exists() else []
    return [line for line in asked if line.startswith("install")]


def test_missing_packages_are_installed_without_a_daemon_that_starts(tmp_path: Path) -> None:
    policy = tmp_path / "policy-rc.d"
    assert _installs(tmp_path, apt_get=f"test -x {policy}") == [
        f"install -qq -y --no-install-recommends {package}" for package in ("prometheus", "chromium")
    ]
    assert not policy.exists(), "the machine is left as it was"


def test_packages_that_cannot_be_had_are_asked_for_three_times_and_the_tests_run_all_the_same(tmp_path: Path) -> None:
    assert len(_installs(tmp_path, apt_get="exit 100")) == 6


def test_nobody_but_root_installs_packages_and_nobody_twice(tmp_path: Path) -> None:
    assert _installs(tmp_path, user=1000) == []
    again = tmp_path / "again"
    again.mkdir()
    assert _installs(again, PORTFOLIO_BUS_PACKAGES_SOUGHT="yes") == [], "a test runs the script again"


def test_it_runs_the_tests_as_the_readme_says() -> None:
    assert "\nmake test\n" in (ROOT / "README.md").read_text()
    steps = '"make test" "make check" "make fuzz EXAMPLES=2 SEED=20261121" "make faults KILLS=10 SEED=7"'
    assert f"for command in {steps};" in _RUN.read_text()

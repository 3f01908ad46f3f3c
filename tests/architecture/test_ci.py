"""`.ci/run` runs the tests and the checks whatever happens to either, and ends with what it has started."""

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


@pytest.mark.parametrize(("user", "fails", "asked"), [("0", 0, 1), ("0", 9, 3), ("1000", 0, 0)])
def test_a_browser_is_installed_once_where_none_is_and_root_runs_it(
    tmp_path: Path, user: str, fails: int, asked: int
) -> None:
    environment = _with_make(tmp_path, 'test -n "$PORTFOLIO_BUS_BROWSER_SOUGHT"')
    installed = f'echo "$1" >> {tmp_path}/asked; test "$1" = update || exit {fails}'
    for name, script in {"id": f"echo {user}", "apt-get": installed}.items():
        (tmp_path / name).write_text(f"#!/bin/sh\n{script}\n")
        (tmp_path / name).chmod(0o755)
    for name in ("bash", "sh", "dirname", "timeout", "env", "make"):
        found = shutil.which(name)
        if found and not (tmp_path / name).exists():
            (tmp_path / name).symlink_to(found)
    environment = {**environment, "PATH": str(tmp_path)}
    environment.pop("PORTFOLIO_BUS_BROWSER_SOUGHT", None)
    ran = subprocess.run([_RUN], env=environment, capture_output=True, text=True, check=False, timeout=20)
    assert ran.returncode == 0, ran.stdout + ran.stderr
    # A test runs the script again; it looks for no browser a second time.
    again = {**environment, "PORTFOLIO_BUS_BROWSER_SOUGHT": "yes"}
    subprocess.run([_RUN], env=again, capture_output=True, check=True, timeout=20)
    told = (tmp_path / "asked").read_text().split() if (tmp_path / "asked").exists() else []
    assert told == ["update", "install"] * asked


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


def test_it_runs_the_tests_as_the_readme_says() -> None:
    assert "\nmake test\n" in (ROOT / "README.md").read_text()
    assert 'for command in "make test" "make check";' in _RUN.read_text()

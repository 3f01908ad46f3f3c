"""The demo's story on the image and compose.yaml, where a Docker engine answers."""

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.demo.compose import image
from tests.engine import an_engine_with, compose_answers
from tests.programs import program

ROOT = Path(__file__).parents[2]
_SECONDS = 540
#: those of compose.yaml
_KAFKA, _POSTGRES = "apache/kafka:4.3.1", "postgres:17"


def _demo(*options: str) -> tuple[int, str]:
    ran = subprocess.run(
        [sys.executable, "-m", "deploy.local.demo", "--compose", *options],
        cwd=ROOT,
        env=dict(os.environ),
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        timeout=_SECONDS,
    )
    return ran.returncode, ran.stdout


def _left_of(said: str) -> str:
    """The containers and volumes of the project that the demo has named."""
    (project,) = re.findall(r"project (\S+)", said)
    ours = ["--quiet", "--filter", f"name={project}"]
    docker = program("docker", "docker-cli")
    return "".join(
        subprocess.run([docker, *listing, *ours], capture_output=True, text=True, check=True, timeout=20).stdout
        for listing in (["ps", "--all"], ["volume", "ls"], ["network", "ls"])
    )


@pytest.fixture(autouse=True)
def _engine(monkeypatch: pytest.MonkeyPatch) -> None:
    an_engine_with(monkeypatch, image(), _KAFKA, _POSTGRES)
    compose_answers()


@pytest.mark.timeout(_SECONDS + 60)
def test_the_story_holds_on_compose_and_nothing_is_left() -> None:
    status, said = _demo()
    assert status == 0, said
    assert re.findall(r"^(\d+)\. ", said, re.MULTILINE) == [str(number) for number in range(1, 12)]
    assert "The story holds" in said
    assert _left_of(said) == ""


@pytest.mark.timeout(_SECONDS + 60)
def test_a_story_that_breaks_on_compose_ends_with_status_1_and_nothing_is_left() -> None:
    status, said = _demo("--without", "config_service.relay", "--patience", "5")
    assert status == 1, said
    assert "The story does not hold: step " in said
    assert _left_of(said) == ""

"""The Docker engine that tests ask, where there is one."""

import os
import subprocess

import pytest

from deploy.local.containers import Containers
from tests.programs import program

#: as it was before a test said otherwise
_HOST = os.environ.get("DOCKER_HOST")


def an_engine_with(patched: pytest.MonkeyPatch, *images: str) -> None:
    """Let what the test starts ask the engine of this machine; skip the test without one that has these images."""
    if _HOST is None:
        patched.delenv("DOCKER_HOST", raising=False)
    else:
        patched.setenv("DOCKER_HOST", _HOST)
    if Containers.where_an_engine_answers() is None:
        pytest.skip("no Docker engine answers: what is shown with it stays unshown")
    docker = program("docker", "docker-cli")
    for image in images:
        found = subprocess.run([docker, "image", "inspect", image], capture_output=True, check=False, timeout=20)
        if found.returncode:
            pytest.skip(f"the Docker engine has no image {image}: what is shown with it stays unshown")


def compose_answers() -> None:
    """Skip the test where the engine's command line has no Compose."""
    docker = program("docker", "docker-cli")
    if subprocess.run([docker, "compose", "version"], capture_output=True, check=False, timeout=20).returncode:
        pytest.skip("docker has no Compose (Debian: docker-compose-v2): what is shown with it stays unshown")

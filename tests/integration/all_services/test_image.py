"""The image's health check against services that run."""

import os
import subprocess
import sys

import pytest

from deploy.local.ports import free_ports
from deploy.local.services import RunningSystem, service_names
from tests.architecture.sources import ROOT


def checked(port: int, *arguments: str) -> subprocess.CompletedProcess[str]:
    environment = os.environ | {"PORTFOLIO_BUS_HTTP_PORT": str(port)}
    argv = [sys.executable, "-I", "-S", str(ROOT / "deploy" / "image" / "healthy.py"), *arguments]
    return subprocess.run(argv, env=environment, capture_output=True, text=True, check=False, timeout=20)


@pytest.mark.parametrize("service", service_names())
def test_a_service_that_is_ready_is_healthy(system: RunningSystem, service: str) -> None:
    ran = checked(int(system.urls[service].rpartition(":")[2]), "all")
    assert (ran.returncode, ran.stderr) == (0, "")


def test_what_does_not_answer_and_what_answers_no_is_not_healthy(system: RunningSystem) -> None:
    (port,) = free_ports(1)
    nobody = checked(port)
    assert nobody.returncode == 1
    assert "nobody answers" in nobody.stderr
    refused = checked(int(system.urls["order_service"].rpartition(":")[2]), "postman")
    assert refused.returncode == 1
    assert refused.stderr.startswith("400: ")

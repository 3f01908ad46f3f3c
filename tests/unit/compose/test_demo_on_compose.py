"""The demo on Compose: what it asks of Docker, that it leaves nothing behind, and what it says where Docker fails."""

import json
import re
import sys
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
import yaml

from deploy.local.demo.__main__ import main
from deploy.local.demo.compose import composed_system, new_project
from deploy.local.errors import ProcessFailedError
from deploy.local.ports import LOOPBACK
from deploy.local.services import BootstrapClient, service_names
from tests.architecture.sources import ROOT

from .test_compose import FILE, faults_in, read

#: with ports, as the demo chooses them
OVER = re.sub(r"\$\{DEMO_\w+\}", "29092", (ROOT / "deploy" / "compose" / "demo.yaml").read_text())


class StandIn:
    """The `docker` of tests/unit/compose/docker.py on the path, and how it was called."""

    def __init__(self, place: Path) -> None:
        self._place = place
        docker = place / "docker"
        docker.write_text(f'#!/bin/sh\nexec {sys.executable} -I -S {Path(__file__).with_name("docker.py")} "$@"\n')
        docker.chmod(0o755)

    def fails_to(self, word: str) -> None:
        (self._place / f"{word} fails").touch()

    @property
    def calls(self) -> list[dict[str, Any]]:
        there = self._place / "calls"
        return [json.loads(line) for line in there.read_text().splitlines()] if there.exists() else []

    @property
    def asked(self) -> list[list[str]]:
        return [call["asked"] for call in self.calls]


@pytest.fixture
def docker(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> StandIn:
    stand_in = StandIn(tmp_path)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    monkeypatch.setenv("STAND_IN", str(tmp_path))
    return stand_in


def test_what_is_laid_over_is_what_the_specification_says_and_opens_loopback_alone() -> None:
    over = yaml.safe_load(OVER)["services"]
    assert faults_in(OVER) is None
    assert over.keys() == {"kafka", "postgres"}
    for name, container in over.items():
        assert all(port.startswith(f"{LOOPBACK}:") for port in container["ports"]), name
        assert container.get("environment", {}).keys() - FILE["services"][name]["environment"].keys() <= {
            "KAFKA_INTER_BROKER_LISTENER_NAME"
        }
    inside, outside = (
        dict(each.split("://") for each in read(text)["services"]["kafka"]["environment"][name].split(","))
        for text, name in ((OVER, "KAFKA_LISTENERS"), (OVER, "KAFKA_ADVERTISED_LISTENERS"))
    )
    assert over["kafka"]["ports"][0].rpartition(":")[2] == inside["DEMO"].removeprefix(":")
    assert (
        outside["PLAINTEXT"]
        == FILE["services"]["kafka"]["environment"]["KAFKA_ADVERTISED_LISTENERS"].partition("://")[2]
    )


def test_a_project_of_its_own_is_brought_up_and_taken_down_with_its_volumes(docker: StandIn) -> None:
    with composed_system(new_project()) as system:
        assert system.services.keys() == system.urls.keys() == system.databases.keys() == set(service_names())
        assert system.clients == [BootstrapClient("an id", "a secret")]
        assert system.here == "127.0.0.1"
        port = docker.calls[-1]["told"]["DEMO_POSTGRES_PORT"]
        assert all(f"@{LOOPBACK}:{port}/{name}" in dsn for name, dsn in system.databases.items())
        assert not [each for each in docker.asked if "down" in each]

    (up,) = [each for each in docker.asked if "up" in each]
    project = up[up.index("--project-name") + 1]
    assert project.startswith("portfolio-bus-demo-")
    assert all(project in each for each in docker.asked if each[0] == "compose")
    assert {"down", "--volumes", "--remove-orphans"} <= set(docker.asked[-1])


def test_what_the_containers_are_told_is_decided_by_the_demo_alone(
    docker: StandIn, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PORTFOLIO_BUS_KAFKA", "somewhere-else:9092")
    monkeypatch.setenv("COMPOSE_FILE", "something-else.yaml")
    monkeypatch.setenv("PORTFOLIO_BUS_IMAGE", "an-image-of-mine")
    with composed_system(new_project()):
        pass
    told = docker.calls[-1]["told"]
    assert not {"PORTFOLIO_BUS_KAFKA", "COMPOSE_FILE"} & told.keys()
    assert told["PORTFOLIO_BUS_IMAGE"] == "an-image-of-mine"
    assert told["PORTFOLIO_BUS_DELIVER_TO"] == "127.0.0.1/32", "this machine and nothing else that is private"
    assert not Path(told["SECRETS_FOLDER"]).exists(), "nothing of the secrets is left"


def test_a_service_is_paused_killed_and_looked_at_by_its_container(docker: StandIn) -> None:
    with composed_system(new_project()) as system:
        service = system.services["order_service"]
        service.pause()
        service.kill()
        assert service.began == datetime(2026, 3, 1, 12, 0, 0, 123456, tzinfo=UTC)
        assert [each[0] for each in docker.asked[-4:]] == ["pause", "kill", "wait", "inspect"]
        assert {each[-1] for each in docker.asked[-4:]} == {"container of order-service"}


@pytest.mark.parametrize("fault", [KeyboardInterrupt, ValueError])
def test_whatever_ends_the_story_everything_is_taken_down(docker: StandIn, fault: type[BaseException]) -> None:
    with pytest.raises(fault), composed_system(new_project()):
        raise fault
    assert "down" in docker.asked[-1]


def test_what_could_not_be_started_is_told_with_its_logs_and_taken_down(docker: StandIn) -> None:
    docker.fails_to("up")
    with (
        pytest.raises(
            ProcessFailedError, match=r"could not start everything(.|\n)*up did not work(.|\n)*a line of a log"
        ),
        composed_system(new_project()),
    ):
        pytest.fail("it runs")
    assert "down" in docker.asked[-1]


def test_what_could_not_be_taken_down_is_named_with_the_command_that_does(docker: StandIn) -> None:
    docker.fails_to("down")
    with (
        pytest.raises(ProcessFailedError, match=r"docker compose -p portfolio-bus-demo-\w+ down -v"),
        composed_system(new_project()),
    ):
        pass


def test_without_the_image_or_an_engine_the_status_is_2_and_the_sentence_says_what_to_do(
    docker: StandIn, capsys: pytest.CaptureFixture[str]
) -> None:
    docker.fails_to("run")
    assert main(["--compose"]) == 2
    assert "`make image` builds it, and it takes a Docker engine" in capsys.readouterr().err


def test_without_docker_the_status_is_2(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert main(["--compose"]) == 2
    assert "docker cannot be run" in capsys.readouterr().err


def test_one_part_is_switched_off_by_the_environment_of_its_service(docker: StandIn) -> None:
    seen = {}
    with composed_system(new_project(), each={"order_service": {"PORTFOLIO_BUS_WITHOUT": "order_service.relay"}}):
        (up,) = [each for each in docker.asked if "up" in each]
        seen = json.loads(Path(up[up.index("up") - 1]).read_text())
    assert seen == {"services": {"order-service": {"environment": {"PORTFOLIO_BUS_WITHOUT": "order_service.relay"}}}}


def test_a_project_of_its_own_needs_no_prefix(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit, match="2"):
        main(["--compose", "--prefix", "x"])
    assert "not allowed with" in capsys.readouterr().err

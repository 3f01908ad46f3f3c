"""compose.yaml is what Compose reads, and gives every service what it reads and nothing else."""

import json
import re
import runpy
import stat
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from compose_spec import PyCompose

from deploy.compose.new_secrets import write
from deploy.local.services import service_names
from services.config_service.domain import Credentials, known_client_id
from shared.kit.settings import PREFIX, SECRETS_DIR
from tests.architecture.sources import ROOT
from tests.deployed import KNOWN_CLIENT, read_by, roles_in, service_in, unread

DEPLOY = ROOT / "deploy"
TEXT = (DEPLOY / "compose.yaml").read_text()
_VARIABLE = re.compile(r"\$\{(\w+):-([^}]*)\}")
PROFILES = {"services", "kafka", "postgres", "prometheus", "grafana"}


def read(text: str) -> dict[str, Any]:
    """The file with its anchors and the defaults of its variables in their places, as Compose sees it."""
    found: dict[str, Any] = _interpolated(yaml.safe_load(text))
    return found


def _interpolated(part: Any) -> Any:
    if isinstance(part, dict):
        return {name: _interpolated(each) for name, each in part.items()}
    if isinstance(part, list):
        return [_interpolated(each) for each in part]
    return _VARIABLE.sub(r"\2", part) if isinstance(part, str) else part


FILE = read(TEXT)
CONTAINERS: dict[str, dict[str, Any]] = FILE["services"]
OURS = {name: each for name, each in CONTAINERS.items() if each["image"] == "portfolio-bus"}
RUNNING = {name: each for name, each in OURS.items() if each["command"][1] == "run"}
CONSOLE, ITS_CLIENT = CONTAINERS["ops-console"], CONTAINERS["ops-console-client"]
EACH = pytest.mark.parametrize("name", CONTAINERS)
EACH_OF_OURS = pytest.mark.parametrize("name", OURS)


def faults_in(text: str) -> str | None:
    try:
        PyCompose.from_json(json.dumps(read(text))).validate()
    except ValueError as fault:
        return str(fault)
    return None


def test_the_file_is_what_the_specification_says() -> None:
    assert faults_in(TEXT) is None


@pytest.mark.parametrize(
    ("right", "wrong"),
    [
        ("stop_grace_period: 30s", "stop_grace_time: 30s"),
        ("condition: service_healthy", "condition: service_health"),
        ("secrets: [grafana_password]", "secrets: [grafana_pass]"),
        ("retries: 12", "retries: many"),
    ],
)
def test_what_the_specification_does_not_know_is_found(right: str, wrong: str) -> None:
    assert faults_in(TEXT.replace(right, wrong)) is not None


def test_every_service_runs_and_has_a_job_that_migrates_it_before() -> None:
    started = {name: service_in(each["command"]) for name, each in RUNNING.items()}
    assert sorted(started.values()) == sorted(service_names())
    for name, each in RUNNING.items():
        assert len(roles_in(each["command"])) == 3, "one process has every role"
        job = f"{name}-migrate"
        assert CONTAINERS[job]["command"] == [each["command"][0], "migrate"]
        assert each["depends_on"][job] == {"condition": "service_completed_successfully"}
        assert {*CONTAINERS[job]["depends_on"]} == {"kafka", "postgres"}


@pytest.fixture(scope="module")
def secrets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("compose") / "secrets"
    write(folder)
    return folder


@EACH_OF_OURS
def test_a_service_is_given_what_it_reads_and_can_start_with_it(name: str, secrets: Path, tmp_path: Path) -> None:
    container = OURS[name]
    service = service_in(container["command"])
    environment = {key: str(value) for key, value in container["environment"].items()}
    targets = {each["target"]: each["source"] for each in container["secrets"]}
    known = KNOWN_CLIENT if container is ITS_CLIENT else set()
    assert unread(service, {*environment, *targets}) == {name for name in targets if name in known}
    for target, source in targets.items():
        (tmp_path / target).write_text((secrets / Path(FILE["secrets"][source]["file"]).name).read_text())
    settings = read_by(service, environment, tmp_path)
    if container is CONSOLE:
        assert settings.kafka
        assert (settings.client_id, settings.client_secret, settings.console_token).count(None) == 0
    else:
        assert urlsplit(settings.database_url.get_secret_value()).path == f"/{service}"


@EACH_OF_OURS
def test_a_container_of_ours_may_do_as_little_as_possible(name: str) -> None:
    container = OURS[name]
    assert container["read_only"] is True
    assert container["cap_drop"] == ["ALL"]
    assert "no-new-privileges:true" in container["security_opt"]
    assert not container.get("privileged")


@EACH
def test_every_container_has_limits_a_profile_and_a_health_check_or_an_end(name: str) -> None:
    container = CONTAINERS[name]
    assert container["deploy"]["resources"]["limits"].keys() >= {"cpus", "memory", "pids"}
    assert set(container["profiles"]) < PROFILES
    ends = name.endswith(("-migrate", "-client"))
    assert container["healthcheck"].get("disable", False) is ends
    assert container["restart"] == ("on-failure" if ends else "unless-stopped")


@EACH
def test_whatever_a_container_names_is_there(name: str) -> None:
    container = CONTAINERS[name]
    assert container.get("depends_on", {}).keys() <= CONTAINERS.keys()
    for volume in container.get("volumes", []):
        source = volume.partition(":")[0]
        assert (DEPLOY / source).exists() if source.startswith(".") else source in FILE["volumes"], volume
    for port in container.get("ports", []):
        assert port.startswith("127.0.0.1:"), "what is let out of the machine is for somebody else to decide"


def test_the_console_asks_every_service_where_it_listens_as_a_client_that_is_made_before() -> None:
    environment = CONSOLE["environment"]
    port = CONSOLE["ports"][0].rpartition(":")[2]
    for name, each in RUNNING.items():
        assert environment[f"{PREFIX}{service_in(each['command']).upper()}_URL"] == f"http://{name}:{port}"
    shared = RUNNING["config-service"]["environment"]
    assert all(shared[name] == environment[name] for name in shared.keys() & environment.keys())
    assert CONSOLE["command"][1] == "serve"
    assert CONSOLE["depends_on"] == {"ops-console-client": {"condition": "service_completed_successfully"}}
    assert ITS_CLIENT["depends_on"] == {"config-service-migrate": {"condition": "service_completed_successfully"}}
    told = ITS_CLIENT["command"]
    assert told[told.index("--known-in") + 1] == ITS_CLIENT["environment"][SECRETS_DIR]
    shown, made = ({each["target"]: each["source"] for each in of["secrets"]} for of in (CONSOLE, ITS_CLIENT))
    assert {name: made[name] for name in KNOWN_CLIENT} == {name: shown[name] for name in KNOWN_CLIENT}


def test_config_service_takes_the_client_that_is_made_for_the_console(secrets: Path) -> None:
    known = Credentials(*((secrets / f"console_client_{part}").read_text() for part in ("id", "secret")))
    assert str(known_client_id(known)) == known.client_id


def test_prometheus_fetches_where_the_services_listen() -> None:
    scraped = yaml.safe_load((DEPLOY / "prometheus" / "prometheus.yml").read_text())["scrape_configs"]
    at = {
        job["job_name"]: (name, found["port"])
        for job in scraped
        for found in job["dns_sd_configs"]
        for name in found["names"]
    }
    port = int(re.findall(r"PORTFOLIO_BUS_HTTP_PORT=(\d+)", (DEPLOY / "image" / "Dockerfile").read_text())[0])
    listening = RUNNING | {"ops-console": CONSOLE}
    assert at == {service_in(each["command"]): (name, port) for name, each in listening.items()}
    assert {each["ports"][0].rpartition(":")[2] for each in listening.values()} == {str(port)}


def test_secrets_are_files_that_nobody_has_checked_in_and_that_are_made_once(secrets: Path) -> None:
    named = {Path(each["file"]).name for each in FILE["secrets"].values()}
    assert named == {path.name for path in secrets.iterdir()}
    assert "deploy/compose/secrets/" in (ROOT / ".gitignore").read_text()
    assert stat.S_IMODE(secrets.stat().st_mode) == 0o700
    before = {path: path.read_text() for path in secrets.iterdir()}
    assert len(set(before.values())) == len(before)
    assert write(secrets) == []
    assert {path: path.read_text() for path in secrets.iterdir()} == before
    assert not any(value in TEXT for value in before.values())


def test_no_secret_stands_in_an_environment() -> None:
    for container in CONTAINERS.values():
        for name in container.get("environment", {}):
            assert name not in {f"{PREFIX}DATABASE_URL", f"{PREFIX}SECRET_KEYS", "POSTGRES_PASSWORD"}
            assert name not in {f"{PREFIX}CLIENT_SECRET", f"{PREFIX}CONSOLE_TOKEN"}


def test_the_script_that_makes_secrets_needs_nothing_but_python(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr("sys.argv", ["new_secrets.py", str(tmp_path / "new")])
        runpy.run_path(str(DEPLOY / "compose" / "new_secrets.py"), run_name="__main__")
    assert len(capsys.readouterr().out.splitlines()) == len(FILE["secrets"])

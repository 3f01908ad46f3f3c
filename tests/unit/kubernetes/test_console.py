"""The console in the cluster: what it is told, asks and may do, and the client that is made for it."""

import re
from pathlib import Path

from deploy.compose.new_secrets import wanted
from deploy.local.services import service_names
from tests.deployed import read_by, service_in, settings_class, unread

from .manifests import FOLDER, of_kind
from .test_manifests import ALL, CONSOLE, ITS_CLIENT, PORT, SETTINGS, asked_of, service_of


def test_the_console_is_given_what_it_reads_and_asks_every_service(tmp_path: Path) -> None:
    assert service_in(CONSOLE.container["args"]) == service_of(CONSOLE) == "ops_console"
    own = {each["name"]: each["value"] for each in CONSOLE.container["env"]}
    for name, value in secret_of_the_console().items():
        (tmp_path / name).write_text(value)
    assert unread("ops_console", {*own, *secret_of_the_console()}) == set()
    read = read_by("ops_console", SETTINGS | own, tmp_path)
    assert read.urls == {name: f"http://{name.replace('_', '-')}:{PORT}" for name in service_names()}
    assert read.urls.keys() == {each.replace("-", "_") for each in of_kind("base", "Service")} - {"ops_console"}
    assert (read.kafka, read.console_secure) == (SETTINGS["PORTFOLIO_BUS_KAFKA"], True)
    assert (read.client_id, read.client_secret, read.console_token).count(None) == 0


def secret_of_the_console() -> dict[str, str]:
    made, told = wanted(), (FOLDER / "settings" / "settings.yaml").read_text()
    values = {
        "portfolio_bus_client_id": made["console_client_id"],
        "portfolio_bus_client_secret": made["console_client_secret"],
        "portfolio_bus_console_token": made["console_token"],
    }
    assert set(values) <= set(re.findall(r"portfolio_bus_\w+", told))
    return values


def test_its_client_is_made_of_its_own_secret_and_that_of_config_service() -> None:
    args = ITS_CLIENT.container["args"]
    assert service_in(args) == "config_service"
    (mount,), (volume,) = ITS_CLIENT.container["volumeMounts"], ITS_CLIENT.spec["volumes"]
    assert f"--known-in={mount['mountPath']}" in args
    assert {"name": "PORTFOLIO_BUS_SECRETS_DIR", "value": mount["mountPath"]} in ITS_CLIENT.container["env"]
    sources = [each["secret"]["name"] for each in volume["projected"]["sources"]]
    (of_console,) = CONSOLE.spec["volumes"]
    assert sources == ["config-service", of_console["secret"]["secretName"]]


def test_the_console_is_one_process_that_answers_its_probes_and_may_be_interrupted() -> None:
    assert asked_of(CONSOLE) == {
        "startupProbe": ("/health/live", {}),
        "livenessProbe": ("/health/live", {}),
        "readinessProbe": ("/health/ready", {}),
    }
    grace = settings_class("ops_console").model_fields["shutdown_grace"].default
    assert CONSOLE.spec["terminationGracePeriodSeconds"] > grace
    deployment = of_kind("base", "Deployment")[CONSOLE.name]["spec"]
    budget = of_kind("base", "PodDisruptionBudget")[CONSOLE.name]["spec"]
    assert (deployment["replicas"], budget["maxUnavailable"]) == (1, 1)
    for selector in (deployment["selector"], budget["selector"]):
        assert [pod.name for pod in ALL if pod.is_selected_by(selector)] == [CONSOLE.name]


def test_the_console_reaches_every_api_and_nobody_reaches_it_unless_let_in() -> None:
    policies = of_kind("network", "NetworkPolicy")
    own = policies["console"]["spec"]
    assert [pod.name for pod in ALL if pod.is_selected_by(own["podSelector"])] == [CONSOLE.name]
    (out,) = own["egress"]
    reached = [pod for pod in ALL if pod.is_selected_by(out["to"][0]["podSelector"])]
    assert {pod.name for pod in reached} == {f"{name.replace('_', '-')}-api" for name in service_names()}
    assert not CONSOLE.is_selected_by(policies["callers-of-the-apis"]["spec"]["podSelector"])
    assert [each["from"] for each in own["ingress"]] == [
        [{"namespaceSelector": {"matchLabels": {"portfolio-bus/shows-the-console": "true"}}}]
    ]

"""The manifests are what Kubernetes reads, and give every process what it reads, asks and may do."""

import copy
import json
import re
import shutil
import subprocess
from itertools import product
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
import yaml

from deploy.compose.new_secrets import wanted
from deploy.local.services import service_names
from services.webhook_dispatcher.domain import USUAL_PORTS
from shared.kit.service import Role
from shared.kit.settings import SealingSettings
from tests.architecture.sources import ROOT
from tests.deployed import read_by, roles_in, service_in, settings_class, unread
from tests.services import all_subscribers

from .manifests import (
    FOLDER,
    NAME,
    PART_OF,
    Pod,
    Resource,
    kustomization,
    kustomizations,
    of_kind,
    pods,
    resources,
)

#: of Kubernetes
VERSION = "1.33"
#: what is no resource of Kubernetes itself: its schemas do not know it
CUSTOM = {"ScaledObject"}
OVERLAYS = ("overlays/keda", "overlays/hpa", "overlays/small")

PROCESSES = [pod for pod in pods("base") if pod.role != "console"]
JOBS = [pod for pod in pods("jobs") if pod.role == "migrate"]
(CONSOLE,) = (pod for pod in pods("base") if pod.role == "console")
(ITS_CLIENT,) = (pod for pod in pods("jobs") if pod.role == "client")
ALL = [*PROCESSES, *JOBS, CONSOLE, ITS_CLIENT]
EACH_PROCESS = pytest.mark.parametrize("pod", PROCESSES, ids=lambda pod: pod.name)
EACH_POD = pytest.mark.parametrize("pod", [*PROCESSES, *JOBS], ids=lambda pod: pod.name)
EACH_OF_ALL = pytest.mark.parametrize("pod", ALL, ids=lambda pod: pod.name)
SETTINGS = of_kind("settings", "ConfigMap")["portfolio-bus"]["data"]
PORT = int(re.findall(r"PORTFOLIO_BUS_HTTP_PORT=(\d+)", (ROOT / "deploy" / "image" / "Dockerfile").read_text())[0])


def everything() -> dict[str, Resource]:
    return {
        f"{each['kind']} {each['metadata']['name']}": each
        for folder in ("base", "jobs", *OVERLAYS)
        for each in resources(FOLDER / folder)
    }


NATIVE = {name: each for name, each in everything().items() if each["kind"] not in CUSTOM}


def service_of(pod: Pod) -> str:
    return pod.labels[NAME].replace("-", "_")


# -- what Kubernetes reads


def fault_of(resource: Resource) -> str:
    """In what it is not what the schemas of Kubernetes say, or says more; nothing where it is."""
    import kubernetes_validate  # noqa: PLC0415 -- importing it takes every worker of the tests seconds

    try:
        kubernetes_validate.validate(resource, VERSION, strict=True)
    except kubernetes_validate.ValidationError as error:
        return str(error)
    return ""


@pytest.mark.parametrize("resource", NATIVE.values(), ids=NATIVE)
def test_a_resource_is_what_the_schemas_of_kubernetes_say(resource: Resource) -> None:
    assert not fault_of(resource)


@pytest.mark.parametrize(
    "path",
    [
        ("spec", "template", "spec", "containers", 0, "readinesProbe"),
        ("spec", "template", "spec", "securityContext", "runAsNonroot"),
        ("spec", "replica"),
    ],
)
def test_a_field_that_kubernetes_does_not_know_is_found(path: tuple[str | int, ...]) -> None:
    wrong: Any = copy.deepcopy(of_kind("base", "Deployment")["order-service-api"])
    at = wrong
    for step in path[:-1]:
        at = at[step]
    at[path[-1]] = {}
    assert "Additional properties are not allowed" in fault_of(wrong)


def test_every_file_is_named_by_a_kustomization_and_everything_named_is_there() -> None:
    named = {(folder / name).resolve() for folder in kustomizations() for name in kustomization(folder)["resources"]}
    assert [path for path in named if not path.exists()] == []
    files = {path for path in FOLDER.rglob("*.yaml") if path.name != "kustomization.yaml"}
    assert files == {path for path in named if path.is_file()}


@pytest.mark.parametrize("overlay", OVERLAYS)
def test_what_an_overlay_patches_is_there(overlay: str) -> None:
    folder = FOLDER / overlay
    for patch in kustomization(folder).get("patches", []):
        target = patch["target"]
        found = [
            each
            for each in resources(folder)
            if each["kind"] == target["kind"]
            and target.get("name", each["metadata"]["name"]) == each["metadata"]["name"]
            and target.get("labelSelector", NAME) in {NAME, *each["metadata"].get("labels", {})}
        ]
        assert found, patch
        for each, operation in product(found, yaml.safe_load(patch["patch"])):
            assert operation["op"] == "replace"
            at: Any = each
            for step in operation["path"].strip("/").split("/"):
                at = at[int(step)] if isinstance(at, list) else at[step]


@pytest.mark.parametrize("folder", ["jobs", *OVERLAYS])
def test_kustomize_makes_of_it_what_the_schemas_say(folder: str) -> None:
    """By hand and where somebody has it: no registry of ours has kustomize as a package."""
    kustomize = shutil.which("kustomize")
    if kustomize is None:
        pytest.skip("kustomize is not here: the files are held against the schemas without it")
    built = subprocess.run([kustomize, "build", FOLDER / folder], capture_output=True, text=True, check=True)
    made = list(yaml.safe_load_all(built.stdout))
    assert len(made) == len(list(resources(FOLDER / folder)))
    for each in made:
        assert each["metadata"]["labels"][PART_OF] == "portfolio-bus"
        if each["kind"] not in CUSTOM:
            assert not fault_of(each)


# -- what a process is told


def test_there_is_a_deployment_for_each_service_and_role_and_a_job_that_migrates_each_service() -> None:
    found = {(service_in(pod.container["args"]), *roles_in(pod.container["args"])) for pod in PROCESSES}
    assert found == set(product(service_names(), Role))
    assert len(PROCESSES) == len(found)
    assert {tuple(pod.container["args"]) for pod in JOBS} == {
        (f"services.{name}", "migrate") for name in service_names()
    }


@EACH_POD
def test_a_pod_is_labelled_as_what_it_runs(pod: Pod) -> None:
    assert service_in(pod.container["args"]) == service_of(pod)
    assert pod.labels[PART_OF] == "portfolio-bus"
    roles = {"migrate"} if pod in JOBS else set(roles_in(pod.container["args"]))
    assert {pod.role} == roles
    assert pod.name == f"{pod.labels[NAME]}-{pod.role}"


@EACH_POD
def test_a_process_is_given_what_it_reads_and_can_start_with_it(pod: Pod, tmp_path: Path) -> None:
    service = service_of(pod)
    assert pod.container["envFrom"] == [{"configMapRef": {"name": "portfolio-bus"}}]
    environment = SETTINGS | {each["name"]: each["value"] for each in pod.container["env"]}
    assert unread(service, set(environment)) == set()
    # As the kubelet mounts a secret: the files are links, in a folder that is one.
    (tmp_path / "..2026").mkdir()
    (tmp_path / "..data").symlink_to("..2026")
    secret = {"portfolio_bus_database_url": f"postgresql://user:word@postgres:5432/{service}"}
    if issubclass(settings_class(service), SealingSettings):
        secret["portfolio_bus_secret_keys"] = wanted()["secret_keys"]
    for name, value in secret.items():
        (tmp_path / "..data" / name).write_text(value)
        (tmp_path / name).symlink_to(f"..data/{name}")
    read = read_by(service, environment, tmp_path)
    assert read.database_url.get_secret_value() == secret["portfolio_bus_database_url"]
    assert set(secret) <= set(re.findall(r"portfolio_bus_\w+", (FOLDER / "settings" / "settings.yaml").read_text()))


@EACH_POD
def test_secrets_are_mounted_by_reference_where_the_process_looks_for_them(pod: Pod) -> None:
    (mount,), (volume,) = pod.container["volumeMounts"], pod.spec["volumes"]
    assert volume["secret"]["secretName"] == pod.labels[NAME]
    assert mount["name"] == volume["name"]
    assert mount["readOnly"] is True
    assert {"name": "PORTFOLIO_BUS_SECRETS_DIR", "value": mount["mountPath"]} in pod.container["env"]
    assert not [each for each in everything().values() if each["kind"] == "Secret"]


# -- what a process is asked


@EACH_PROCESS
def test_probes_ask_what_the_process_answers(pod: Pod) -> None:
    document = json.loads((ROOT / "docs" / "api" / f"{service_of(pod)}.json").read_text())
    asked = asked_of(pod)
    assert {path for path, _ in asked.values()} <= document["paths"].keys()
    assert asked == {
        "startupProbe": ("/health/live", {}),
        "livenessProbe": ("/health/live", {}),
        "readinessProbe": ("/health/ready", {"role": [pod.role]}),
    }


def asked_of(pod: Pod) -> dict[str, tuple[str, dict[str, list[str]]]]:
    (port,) = pod.container["ports"]
    assert port == {"name": "http", "containerPort": PORT}
    asked = {}
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        at = pod.container[probe]["httpGet"]
        assert at["port"] == "http"
        url = urlsplit(at["path"])
        asked[probe] = (url.path, parse_qs(url.query))
    return asked


@EACH_PROCESS
def test_a_process_has_the_time_to_finish_what_is_in_flight(pod: Pod) -> None:
    grace = settings_class(service_of(pod)).model_fields["shutdown_grace"].default
    draining = 5 if pod.role == Role.API else 0
    assert pod.spec["terminationGracePeriodSeconds"] > grace + draining
    assert ("lifecycle" in pod.container) == (pod.role == Role.API)


# -- what a process may do


@EACH_OF_ALL
def test_a_pod_may_do_as_little_as_possible(pod: Pod) -> None:
    assert pod.spec["automountServiceAccountToken"] is False
    of_pod, of_container = pod.spec["securityContext"], pod.container["securityContext"]
    assert of_pod["runAsNonRoot"] is True
    assert of_pod["runAsUser"] > 0
    assert of_pod["seccompProfile"] == {"type": "RuntimeDefault"}
    assert of_container == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod.container["resources"]["limits"].keys() >= {"memory"}
    assert pod.container["resources"]["requests"].keys() >= {"cpu", "memory"}


def test_nothing_goes_in_or_out_but_what_is_named() -> None:
    policies = of_kind("network", "NetworkPolicy")
    assert policies["nothing-else"]["spec"] == {"podSelector": {}, "policyTypes": ["Ingress", "Egress"]}
    for name, policy in policies.items():
        selector = policy["spec"]["podSelector"]
        assert any(pod.is_selected_by(selector) for pod in [*PROCESSES, CONSOLE]), name
    (webhooks,) = policies["webhooks"]["spec"]["egress"]
    private = {network for block in webhooks["to"] for network in block["ipBlock"]["except"]}
    assert {"10.0.0.0/8", "172.16.0.0/12", "192.168.0.0/16", "169.254.0.0/16", "fc00::/7"} <= private
    assert [pod.name for pod in PROCESSES if pod.is_selected_by(policies["webhooks"]["spec"]["podSelector"])] == [
        "webhook-dispatcher-workers"
    ]
    assert [(port["port"], port.get("endPort", port["port"])) for port in webhooks["ports"]] == list(USUAL_PORTS)
    _, databases = policies["names-databases-and-kafka"]["spec"]["egress"]
    assert SETTINGS["PORTFOLIO_BUS_KAFKA"].rpartition(":")[2] in {str(port["port"]) for port in databases["ports"]}
    let_in = {
        port["port"]
        for policy in policies.values()
        for rule in policy["spec"].get("ingress", [])
        for port in rule["ports"]
    }
    assert let_in == {PORT}


# -- how many there are


@EACH_PROCESS
def test_every_deployment_is_spread_and_goes_down_one_at_a_time(pod: Pod) -> None:
    budget = of_kind("base", "PodDisruptionBudget")[pod.name]["spec"]
    assert budget["maxUnavailable"] == 1
    deployment = of_kind("base", "Deployment")[pod.name]["spec"]
    spread = [each["labelSelector"] for each in pod.spec["topologySpreadConstraints"]]
    for selector in [budget["selector"], deployment["selector"], *spread]:
        assert [each.name for each in ALL if each.is_selected_by(selector)] == [pod.name]
    assert "replicas" not in deployment, "an autoscaler decides, and would be overruled by every apply"


def test_a_service_leads_to_the_processes_with_its_api() -> None:
    for name, service in of_kind("base", "Service").items():
        selected = [pod.name for pod in ALL if pod.is_selected_by({"matchLabels": service["spec"]["selector"]})]
        assert selected == [CONSOLE.name if name == CONSOLE.name else f"{name}-api"]
        assert service["spec"]["ports"] == [{"name": "http", "port": PORT, "targetPort": "http"}]
    assert urlsplit(SETTINGS["PORTFOLIO_BUS_ISSUER_URL"]).netloc == f"config-service:{PORT}"


@pytest.mark.parametrize("overlay", ["overlays/keda", "overlays/hpa"])
def test_one_autoscaler_decides_on_each_deployment_and_consumers_are_no_more_than_partitions(overlay: str) -> None:
    scaled = [
        (each["spec"]["scaleTargetRef"]["name"], each["spec"].get("maxReplicas") or each["spec"]["maxReplicaCount"])
        for each in of_kind_in_order(overlay, "HorizontalPodAutoscaler", "ScaledObject")
    ]
    assert sorted(name for name, _ in scaled) == sorted(pod.name for pod in PROCESSES)
    for name, most in scaled:
        if name.endswith("-consumers"):
            assert most == int(SETTINGS["PORTFOLIO_BUS_PARTITIONS"])


def of_kind_in_order(folder: str, *kinds: str) -> list[Resource]:
    """All of them, also two of one name."""
    return [each for each in resources(FOLDER / folder) if each["kind"] in kinds]


def test_keda_is_asked_for_the_lag_of_every_group_of_the_deployment() -> None:
    """KEDA's own schema is not here: this is what is known of its fields."""
    for name, scaled in of_kind("overlays/keda", "ScaledObject").items():
        spec = scaled["spec"]
        service = name.removesuffix("-consumers")
        assert spec["scaleTargetRef"] == {"name": name, "envSourceContainerName": service}
        assert all(trigger["type"] == "kafka" for trigger in spec["triggers"])
        asked = [trigger["metadata"] for trigger in spec["triggers"]]
        groups = [group for owner, group in all_subscribers() if owner == service.replace("-", "_")]
        assert [each["consumerGroup"] for each in asked] == groups
        for each in asked:
            assert each["bootstrapServersFromEnv"] in SETTINGS
            assert all(isinstance(value, str) for value in each.values()), "KEDA takes strings alone"


# -- who watches


@EACH_PROCESS
def test_prometheus_knows_a_process_by_the_name_of_its_service(pod: Pod) -> None:
    (job,) = yaml.safe_load((ROOT / "deploy" / "prometheus" / "kubernetes.yml").read_text())["scrape_configs"]
    meta = {f"__meta_kubernetes_pod_label_{re.sub(r'[^a-zA-Z0-9]', '_', name)}": v for name, v in pod.labels.items()}
    meta |= {
        "__meta_kubernetes_pod_container_port_name": pod.container["ports"][0]["name"],
        "__meta_kubernetes_pod_phase": "Running",
        "__meta_kubernetes_pod_name": f"{pod.name}-abc",
    }
    labels: dict[str, str] = {}
    for rule in job["relabel_configs"]:
        (source,) = rule["source_labels"]
        match = re.fullmatch(rule.get("regex", "(.*)"), meta[source])
        action = rule.get("action", "replace")
        assert action == "replace" or (match is not None) == (action == "keep"), rule
        if action == "replace" and match:
            labels[rule["target_label"]] = match.expand(re.sub(r"\$\{?(\d)\}?", r"\\\1", rule.get("replacement", "$1")))
    assert labels == {"job": service_of(pod), "instance": f"{pod.name}-abc"}

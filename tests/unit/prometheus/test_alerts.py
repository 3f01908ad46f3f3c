"""Every alert fires when it should, asks for what is told, and leads to a page that says what to do."""

import re
import subprocess
from pathlib import Path
from typing import Any

import pytest
import yaml

from tests.docs.documents import REPOSITORY, anchors
from tests.programs import program
from tests.queries import unknown_in

PROMETHEUS = REPOSITORY / "deploy" / "prometheus"
RUNBOOKS = REPOSITORY / "docs" / "runbooks"
EXAMPLES = Path(__file__).with_name("rules_test.yml")

_DISK = frozenset({"fstype", "mountpoint"})
_CLAIM = frozenset({"persistentvolumeclaim", "namespace"})
#: what the alerts ask for besides our own metrics
OF_OTHERS = {
    "up": frozenset[str](),
    "node_filesystem_avail_bytes": _DISK,
    "node_filesystem_size_bytes": _DISK,
    "kubelet_volume_stats_available_bytes": _CLAIM,
    "kubelet_volume_stats_capacity_bytes": _CLAIM,
}


def rules() -> dict[str, dict[str, Any]]:
    groups = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())["groups"]
    return {rule["alert"]: rule for group in groups for rule in group["rules"]}


ALERTS = rules()


def promtool(*arguments: str | Path) -> subprocess.CompletedProcess[str]:
    tool = program("promtool", "prometheus")
    return subprocess.run([tool, *arguments], capture_output=True, text=True, check=False, timeout=60)


def test_every_alert_fires_and_keeps_silent_as_its_examples_say() -> None:
    ran = promtool("test", "rules", EXAMPLES)
    assert ran.returncode == 0, ran.stdout + ran.stderr


def test_the_examples_find_every_alert_that_never_fires(tmp_path: Path) -> None:
    document = yaml.safe_load((PROMETHEUS / "rules.yml").read_text())
    for group in document["groups"]:
        for rule in group["rules"]:
            rule["expr"] = "vector(0) > 1"
    (tmp_path / "rules.yml").write_text(yaml.safe_dump(document))
    (tmp_path / "examples.yml").write_text(re.sub(r"\[\S+rules\.yml\]", "[rules.yml]", EXAMPLES.read_text()))
    ran = promtool("test", "rules", tmp_path / "examples.yml")
    assert set(re.findall(r"alertname: (\w+), time", ran.stdout + ran.stderr)) == set(ALERTS)


def test_every_alert_has_an_example_of_keeping_silent() -> None:
    tests = yaml.safe_load(EXAMPLES.read_text())["tests"]
    silent = {each["alertname"] for test in tests for each in test["alert_rule_test"] if not each["exp_alerts"]}
    assert silent == set(ALERTS)


def test_the_configuration_for_one_machine_can_be_read() -> None:
    ran = promtool("check", "config", PROMETHEUS / "prometheus.yml")
    assert ran.returncode == 0, ran.stdout + ran.stderr


@pytest.mark.parametrize("alert", ALERTS)
def test_an_alert_asks_for_metrics_and_labels_that_are_told(alert: str) -> None:
    assert unknown_in(ALERTS[alert]["expr"], OF_OTHERS) == set()


@pytest.mark.parametrize(
    ("query", "unknown"),
    [
        ("sum by (job) (rate(portfolio_bus_outbox_row[5m])) > 1", {"portfolio_bus_outbox_row"}),
        ('portfolio_bus_outbox_rows{shard="1"} offset 5m', {"shard"}),
        ("max by (topic) (portfolio_bus_consumer_lag_seconds) and on (group) absent(up)", {"up"}),
        (
            "histogram_quantile(0.9, rate(portfolio_bus_barrier_wait_seconds[5m]))",
            {"portfolio_bus_barrier_wait_seconds"},
        ),
    ],
)
def test_a_metric_or_label_that_nobody_tells_is_found(query: str, unknown: set[str]) -> None:
    assert unknown_in(query) == unknown


def test_every_alert_leads_to_a_page_of_its_own_and_every_page_is_led_to() -> None:
    pages = {rule["annotations"]["runbook"] for rule in ALERTS.values()}
    assert len(pages) == len(ALERTS)
    assert pages == {page.relative_to(REPOSITORY).as_posix() for page in RUNBOOKS.glob("*.md")} - {
        "docs/runbooks/README.md"
    }


@pytest.mark.parametrize("alert", ALERTS)
def test_a_runbook_names_its_alert_and_says_what_it_means_how_to_see_it_and_what_to_do(alert: str) -> None:
    page = REPOSITORY / ALERTS[alert]["annotations"]["runbook"]
    text = page.read_text()
    assert text.startswith(f"# {alert}\n")
    assert anchors(page) == {alert.lower(), "what-it-means", "how-to-see-it", "what-to-do"}
    assert f"({page.name})" in (RUNBOOKS / "README.md").read_text()


def test_every_alert_says_how_urgent_it_is() -> None:
    assert {rule["labels"]["severity"] for rule in ALERTS.values()} == {"page", "ticket"}

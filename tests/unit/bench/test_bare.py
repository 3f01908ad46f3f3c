"""What the overhead is measured against measures nothing; in a process of its own, which it changes for good."""

import json
import subprocess
import sys
from typing import Any

import pytest

from deploy.local.services import REPOSITORY

#: counts, times and tells once as usual, once bare, and once as usual again
SWITCHED = """
import json, sys
from importlib import import_module
from deploy.local.bench.bare import switchable
from shared.kit import logs, metrics, relay

bare = switchable("webhook_dispatcher")
logs.configure_logs("here", "INFO")
recording = import_module("services.webhook_dispatcher.workers.recording")
counter, histogram, published = metrics.MESSAGES.counter(), metrics.LOOP_LAG.histogram(), relay.Counter[str]()
bound = counter.labels("group", "bound")
for on in (False, True, False):
    bare.switch(on=on)
    counter.labels("group", "done").inc()
    bound.inc()
    histogram.observe(1.0)
    published.update(["topic"])
    recording.log_all("delivery", "attempt", [{"bare": on}])
    logs.get_logger("here").info("line", bare=on)
told = {
    (sample.name, sample.labels.get("fate")): sample.value
    for each in (counter, histogram) for metric in each.collect() for sample in metric.samples
}
name = "portfolio_bus_consumer_messages_total"
print(json.dumps([
    told[name, "done"], told[name, "bound"], told["portfolio_bus_event_loop_lag_seconds_count", None],
    published["topic"],
]))
"""


@pytest.fixture(scope="module")
def lines() -> list[Any]:
    argv = [sys.executable, "-c", SWITCHED]
    ran = subprocess.run(argv, cwd=REPOSITORY, capture_output=True, text=True, timeout=240, check=False)
    assert ran.returncode == 0, ran.stderr
    return [json.loads(line) for line in ran.stdout.splitlines()]


def test_a_service_that_is_bare_counts_nothing_and_goes_on_as_usual_afterwards(lines: list[Any]) -> None:
    assert lines[-1] == [2, 2, 2, 2]


def test_a_service_that_is_bare_tells_nothing(lines: list[Any]) -> None:
    assert [(line["event"], line["bare"]) for line in lines[:-1]] == [
        ("attempt", False),
        ("line", False),
        ("attempt", False),
        ("line", False),
    ]

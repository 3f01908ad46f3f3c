"""Every operation of the three services, asked in every way: shortened here, whole in `make fuzz`.

A planted service with one fault of each kind shows that the requests would find them.
"""

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.local.fuzz.campaign import Effort, Target, attack
from deploy.local.fuzz.stage import Listener, attack_all, fuzzed_system
from deploy.local.fuzz.verdicts import Verdict, verdict_in
from deploy.local.fuzz.world import World
from deploy.local.ports import LOOPBACK, free_ports, somebody_listens
from deploy.local.processes import SERVICE_RANK, Command, wait_until
from deploy.local.services import REPOSITORY, ServiceProcess, service_names
from deploy.local.stack import Stack
from tests.integration.all_services.routes import all_routes

#: `make fuzz SEED=20261121` asks the same, and more
SEED = 20261121
EXAMPLES = 2
SECONDS = 240

#: in no document, and so not asked: what shows the document, and figures for whoever runs the service
IN_NO_DOCUMENT = ("/openapi.json", "/docs", "/metrics")

pytestmark = pytest.mark.timeout(2 * SECONDS)


@pytest.fixture(scope="module")
def verdicts(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Iterator[list[Verdict]]:
    print(f"seed {SEED}")  # noqa: T201 -- shown with a failure
    with fuzzed_system(stack, SEED, prefix=f"f{uuid4().hex[:8]}_") as (system, world):
        listener = Listener(system)
        found = attack_all(system, world, tmp_path_factory.mktemp("fuzz"), Effort(EXAMPLES, SEED, SECONDS))
        assert listener.faults() == [], "no answer hides an error"
        yield found


def test_no_request_of_any_kind_finds_a_fault(verdicts: list[Verdict]) -> None:
    assert {verdict.service: verdict.faults for verdict in verdicts} == {name: [] for name in service_names()}, (
        "\n".join(verdict.said.read_text()[-20_000:] for verdict in verdicts if not verdict.clean)
    )


def test_every_operation_is_asked_and_some_valid_request_of_each_succeeds(verdicts: list[Verdict]) -> None:
    for verdict in verdicts:
        assert verdict.tested == verdict.selected == operations_of(verdict.service)
    assert [each.label for verdict in verdicts for each in verdict.operations if not each.accepted] == []


def operations_of(service: str) -> int:
    """How many operations of the API the service serves."""
    served = [route for route in all_routes() if route.service == service]
    return len([route for route in served if not route.path.startswith(IN_NO_DOCUMENT)])


@pytest.fixture(scope="module")
def planted(stack: Stack, tmp_path_factory: pytest.TempPathFactory) -> Verdict:
    """What is found in a service with one fault of each kind."""
    (port,) = free_ports(1)
    command = Command(
        name="planted",
        argv=[
            *(sys.executable, "-m", "uvicorn", "tests.stories.planted:app", "--no-server-header"),
            *("--host", LOOPBACK, "--port", str(port)),
        ],
        log=tmp_path_factory.mktemp("planted") / "planted.log",
        cwd=REPOSITORY,
        rank=SERVICE_RANK,
    )
    world = World({"first": "one", "second": "two"}, {}, {"id": [str(uuid4())]}, [], ["made_up_table"], SEED)
    process = ServiceProcess(stack, command, f"http://{LOOPBACK}:{port}")
    try:
        wait_until(process, lambda: somebody_listens(f"{LOOPBACK}:{port}"), seconds=30)
        target = Target("planted", process.url)
        return attack(stack.leash, target, world, tmp_path_factory.mktemp("fuzz"), Effort(EXAMPLES, SEED, SECONDS))
    finally:
        process.stop()


@pytest.mark.parametrize(
    ("path", "fault"),
    [
        ("/fails", "Server error"),
        ("/undocumented", "Undocumented status code"),
        ("/another-shape", "Response violates schema"),
        ("/takes-anything", "Schema-violating request accepted"),
        ("/refuses-everything", "Schema-valid request rejected"),
        ("/without-a-request-id", "every_answer_has_its_request_id"),
        ("/tells-what-is-inside", "nothing_inside_is_told"),
        ("/names-a-table", "nothing_inside_is_told"),
        ("/no-problem-document", "every_error_is_a_problem_document"),
    ],
)
def test_a_planted_fault_is_found(planted: Verdict, path: str, fault: str) -> None:
    assert [each for each in planted.faults if fault in each and f" {path}" in each], "\n".join(planted.faults)


def test_what_is_sound_has_no_fault(planted: Verdict) -> None:
    assert not [each for each in planted.faults if "/sound" in each], planted.said.read_text()


def test_a_run_that_left_something_out_is_not_clean(tmp_path: Path) -> None:
    phases = {phase: {"status": "success"} for phase in ("examples", "coverage", "fuzzing", "stateful")}
    report = {
        "operations": {"total": 2, "selected": 2, "tested": 1},
        "test_cases": {"generated": 1},
        "running_time": 1.0,
        "phases": phases,
        "valid_rates": {},
        "failures": [],
        "errors": [],
        "complete": True,
        "stop_reason": "completed",
    }
    file = tmp_path / "report.json"
    file.write_text(json.dumps(report))
    assert verdict_in("one", file, file).faults == ["1 of 2 operations were asked"]

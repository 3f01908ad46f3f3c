"""`make fuzz` asks every operation in every way: a planted service with one fault of each kind shows what it finds."""

import json
import sys
from pathlib import Path
from uuid import uuid4

import pytest

from deploy.local.fuzz.campaign import Effort, Target, attack
from deploy.local.fuzz.verdicts import Verdict, verdict_in
from deploy.local.fuzz.world import World
from deploy.local.ports import LOOPBACK, free_ports, somebody_listens
from deploy.local.processes import SERVICE_RANK, Command, wait_until
from deploy.local.services import REPOSITORY, ServiceProcess
from deploy.local.stack import Stack

SEED = 20261121
EXAMPLES = 2
SECONDS = 240

pytestmark = pytest.mark.timeout(2 * SECONDS)


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
        ("/refuses-everything", "no valid request succeeded"),
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
        "valid_rates": {"GET /one": {"coverage": {"accepted": 1, "unreachable": 0, "conflicts": 0, "rejected": 0}}},
        "failures": [],
        "errors": [],
        "complete": True,
        "stop_reason": "completed",
    }
    file = tmp_path / "report.json"
    file.write_text(json.dumps(report))
    assert verdict_in("one", file, file).faults == ["1 of 2 operations were asked"]

"""The README's commands, in their order in one shell, against everything running: what a newcomer types works."""

import json
import os
import re
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from deploy.local.ports import free_ports
from deploy.local.services import RunningSystem

from .documents import README, REPOSITORY, blocks, make_targets

#: Besides these, which start the world themselves, every command of the README runs here.
STARTS_THE_WORLD = {"make demo", "make test", "make up"}
#: needs the settings of config_service, and is tested with the service
NEED_MORE_SETTINGS = re.compile(r"client-create|reseal")
SECONDS = 150


@pytest.fixture(scope="module")
def said(system: RunningSystem, tmp_path_factory: pytest.TempPathFactory) -> str:
    """What the terminal shows."""
    script = "\n".join(block.text for block in blocks(README) if block.against == "up")
    script = script.replace(".venv/bin/python", sys.executable)
    stack_file: Path = tmp_path_factory.mktemp("up") / "stack.json"
    stack_file.write_text(json.dumps(system.document()))
    port, replica = map(str, free_ports(2))
    own = {"STACK": str(stack_file), "PORT": port, "REPLICA_PORT": replica}
    return _typed(script, {**os.environ, **own})


def _typed(script: str, environment: dict[str, str], folder: Path = REPOSITORY) -> str:
    shell = subprocess.Popen(
        ["/bin/bash", "-eu", "-o", "pipefail", "-c", script],
        cwd=folder,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    try:
        output, _ = shell.communicate(timeout=SECONDS)
    except subprocess.TimeoutExpired:
        os.killpg(shell.pid, signal.SIGKILL)
        output, _ = shell.communicate()
        pytest.fail(f"the commands do not come to their end:\n{output}")
    if shell.returncode:
        pytest.fail(f"the commands end with {shell.returncode}:\n{output}")
    return output


pytestmark = pytest.mark.timeout(SECONDS + 90)


def test_an_account_is_configured_by_http(said: str) -> None:
    assert '"version":1' in said


def test_the_order_of_a_deleted_configuration_becomes_cancelled(said: str) -> None:
    assert '"cancellation_reason":"CONFIGURATION_DELETED"' in said


def test_a_command_on_kafka_is_answered_with_the_new_configuration(said: str) -> None:
    (answer,) = [line for line in said.splitlines() if line.startswith("CommandAccepted")]
    assert "'version': 2" in answer


def test_the_webhooks_of_the_order_arrive_and_verify(said: str) -> None:
    told = [line.split()[::2] for line in said.splitlines() if line.startswith(("PORTFOLIO_ORDER", "REBALANCING"))]
    assert sorted(told) == [["PORTFOLIO_ORDER.CANCELLED", "CANCELLED"], ["PORTFOLIO_ORDER.NEW", "NEW"]]


def test_the_rebalancing_event_of_the_account_is_suppressed(said: str) -> None:
    assert '"reason":"NOT_CONFIGURED"' in said


def test_what_was_parked_tells_why_and_can_be_sent_back(said: str) -> None:
    assert "parked-reason: missing_attribute" in said
    assert "parked-topic: orders.commands.v1" in said
    assert "1 messages redriven to order_service.commands" in said


def test_the_accounts_story_ends_with_what_was_suppressed(said: str) -> None:
    assert "SUPPRESSED NOT_CONFIGURED after 0 attempts" in said
    assert "parked for missing_attribute" in said


def test_a_second_process_joins(said: str) -> None:
    assert "order_service: schema is current, 0 topics created" in said
    assert '{"status":"ok","roles":{"consumers":[],"workers":[]}}' in said


def test_every_command_of_the_readme_runs_here_or_has_a_reason_not_to() -> None:
    left = [block.text for block in blocks(README) if block.language == "sh" and block.against is None]
    lines = {line for text in left for line in text.splitlines()}
    assert {line for line in lines if not NEED_MORE_SETTINGS.search(line)} == STARTS_THE_WORLD
    assert {block.against for block in blocks(README)} == {"up", None}


def test_the_readme_begins_with_three_sentences_and_one_picture() -> None:
    opening = README.read_text().partition("## ")[0]
    paragraphs, picture = opening.split("```mermaid")[0], opening.count("```mermaid")
    assert picture == 1
    assert paragraphs.count(".\n") == 3


def test_the_two_commands_come_first_and_are_targets() -> None:
    first = next(block for block in blocks(README) if block.language == "sh")
    assert first.text.split("\n") == ["make demo", "make test", ""]
    assert {"demo", "test", "up", "check", "bench", "lock"} <= make_targets(README)

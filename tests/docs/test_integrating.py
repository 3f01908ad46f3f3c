"""The page for integrators: its requests run as they stand, in their order, and are answered as the page says."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from deploy.local.services import RunningSystem

from .documents import REPOSITORY, Block, as_another_client, blocks

PAGE = REPOSITORY / "docs" / "integrating.md"
SECONDS = 120

#: stands between what two blocks print
MARK = "=" * 8 + " the next block"

pytestmark = pytest.mark.timeout(SECONDS + 90)


@pytest.fixture(scope="module")
def said(system: RunningSystem, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """What the terminal shows, block by block."""
    stack_file: Path = tmp_path_factory.mktemp("up") / "stack.json"
    stack_file.write_text(json.dumps(as_another_client(system.document())))
    return typed({**os.environ, "STACK": str(stack_file)})


def typed(environment: dict[str, str]) -> list[str]:
    script = f'echo "{MARK}"\n'.join(f"{block.text}\necho\n" for block in commands())
    shell = subprocess.run(
        ["/bin/bash", "-eu", "-o", "pipefail", "-c", script.replace("python3 -c", f"{sys.executable} -c")],
        cwd=REPOSITORY,
        env=environment,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    if shell.returncode:
        pytest.fail(f"the page's requests end with {shell.returncode}:\n{shell.stdout}")
    return shell.stdout.split(f"{MARK}\n")


def commands() -> list[Block]:
    return [block for block in blocks(PAGE) if block.language == "sh"]


def answers() -> list[tuple[int, Any]]:
    """The answers that the page shows: each stands behind the block of requests that it answers."""
    shown, number = [], -1
    for block in blocks(PAGE):
        if block.language == "sh":
            number += 1
        elif block.language == "json":
            shown.append((number, json.loads(block.text)))
    return shown


def fits(shown: Any, came: Any) -> bool:
    """Whether an answer is as the page shows it, where … stands for any value."""
    if shown == "…":
        return True
    if isinstance(shown, dict):
        return isinstance(came, dict) and shown.keys() == came.keys() and all(fits(shown[k], came[k]) for k in shown)
    if isinstance(shown, list):
        return isinstance(came, list) and len(shown) == len(came) and all(map(fits, shown, came))
    return bool(shown == came)


def test_the_ten_requests_are_ten() -> None:
    ten = PAGE.read_text().partition("## Ten requests")[2].partition("\n## ")[0]
    assert re.findall(r"^\*\*(\d+)\. ", ten, re.MULTILINE) == [str(number) for number in range(1, 11)]
    assert ten.count("curl ") == 10


def test_every_block_of_commands_runs() -> None:
    assert all(block.against == "up" for block in commands())


def test_every_answer_that_the_page_shows_is_the_one_that_comes(said: list[str]) -> None:
    assert answers()
    for number, shown in answers():
        came = json.loads(said[number])
        assert fits(shown, came), (shown, came)


def test_the_deletion_cancels_the_order_and_the_rebalancing_order(said: list[str]) -> None:
    (orders,) = [json.loads(text) for text in said if text.startswith('{"meta"') and '"status":"CANCELLED"' in text]
    assert {order["cancellation_reason"] for order in orders["data"]} == {
        "CONFIGURATION_DELETED",
        "CONFIGURATION_IS_MISSING",
    }


def test_the_same_key_makes_one_configuration(said: list[str]) -> None:
    assert "first: 201\nagain: 201" in "".join(said)


def test_a_stale_etag_is_refused(said: list[str]) -> None:
    assert "mine: 200\nstale: 412" in "".join(said)


def test_cursors_walk_the_whole_list(said: list[str]) -> None:
    assert "".join(said).count("one page: 1\n") == 2


def test_a_blocked_portfolio_stops_the_orders(said: list[str]) -> None:
    assert '"status":422' in said[-1]


@pytest.mark.parametrize(
    ("shown", "came"),
    [
        ({"a": 1}, {"a": 2}),
        ({"a": "…"}, {"b": 1}),
        ({"a": "…"}, {"a": 1, "b": 2}),
        ([1], [1, 2]),
        ({"a": [1]}, {"a": 1}),
    ],
)
def test_an_answer_that_differs_does_not_fit(shown: Any, came: Any) -> None:
    assert not fits(shown, came)

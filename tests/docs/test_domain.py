"""docs/domain.md is honest: its tests are collected, every row has some, and what the code knows is not left out."""

import re
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from functools import cache

import pytest

from shared.contracts.accounts import AccountStatus
from shared.contracts.catalogue import MESSAGES
from shared.contracts.orders import OrderCancellationReason, OrderStatus
from shared.contracts.rebalancings import RebalancingCancellationReason
from shared.kit.refusals import SLUGS
from tests.integration.all_services.routes import all_routes

from .documents import REPOSITORY

PAGE = REPOSITORY / "docs" / "domain.md"
SECTIONS = {
    "Common HTTP rules": 31,
    "Accounts": 8,
    "Allocations and configurations": 20,
    "Portfolio orders and rebalancing": 18,
    "Webhooks": 27,
    "Ledger portfolios": 18,
    "The bus": 18,
}

#: These pages are not of the API: they show its document, or figures for whoever runs it.
NOT_OF_THE_API = ("/openapi.json", "/docs", "/metrics")
#: Of its routes, those of deliveries are told in the README.
ELSEWHERE = "webhook_dispatcher"


@dataclass(frozen=True)
class Row:
    """What holds, and the node ids of the tests that show it."""

    section: str
    text: str
    tests: tuple[str, ...]


@cache
def rows() -> tuple[Row, ...]:
    found, section = [], ""
    for line in PAGE.read_text().splitlines():
        if line.startswith("## "):
            section = line.removeprefix("## ")
        elif line.startswith("| ") and not line.startswith(("| what holds", "| ---")):
            text, _, shown = line.strip("| ").rpartition(" | ")
            found.append(Row(section, text, tuple(re.findall(r"`(tests/[^`]+)`", shown))))
    return tuple(found)


@pytest.fixture(scope="module")
def collected(request: pytest.FixtureRequest) -> frozenset[str]:
    """Every test of the files that the page names, as pytest collects them."""
    files = {test.partition("::")[0] for row in rows() for test in row.tests}
    here = frozenset(item.nodeid.partition("[")[0] for item in request.session.items)
    # A run of all tests has collected them; once more would take as long again.
    return here if files <= {test.partition("::")[0] for test in here} else collected_anew(sorted(files))


def collected_anew(files: list[str]) -> frozenset[str]:
    command = [sys.executable, "-m", "pytest", "--collect-only", "-q", "-n0", *files]
    done = subprocess.run(command, cwd=REPOSITORY, capture_output=True, text=True, timeout=100, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    return frozenset(line.partition("[")[0] for line in done.stdout.splitlines() if "::" in line)


def words() -> set[str]:
    return set(re.findall(r"[\w.]+", " ".join(row.text for row in rows())))


def test_every_section_has_its_rows() -> None:
    assert Counter(row.section for row in rows()).keys() == SECTIONS.keys()
    assert not {
        section: count for section, count in Counter(row.section for row in rows()).items() if count < SECTIONS[section]
    }


def test_every_row_stands_once_and_is_shown_by_a_test() -> None:
    assert [text for text, count in Counter(row.text for row in rows()).items() if count > 1] == []
    assert [row.text for row in rows() if not row.tests] == []
    assert [row.text for row in rows() if len(set(row.tests)) < len(row.tests)] == []


@pytest.mark.timeout(150)
def test_every_test_that_is_named_is_collected(collected: frozenset[str]) -> None:
    assert sorted({test for row in rows() for test in row.tests} - collected) == []


@pytest.mark.timeout(150)
def test_a_test_that_is_not_there_would_be_found_missing(collected: frozenset[str]) -> None:
    assert "tests/docs/test_domain.py::test_that_nobody_wrote" not in collected
    assert len(collected) > len(rows())


def test_every_operation_has_a_row() -> None:
    operations = {
        f"`{route.method} {route.path}`"
        for route in all_routes()
        if route.service != ELSEWHERE and not route.path.startswith(NOT_OF_THE_API)
    }
    text = " ".join(row.text for row in rows())
    assert sorted(operation for operation in operations if operation not in text) == []
    assert "`GET /nowhere`" not in text


@pytest.mark.parametrize(
    "known",
    [
        pytest.param(set(MESSAGES), id="messages"),
        pytest.param(set(SLUGS), id="refusals"),
        pytest.param({reason.value for reason in RebalancingCancellationReason}, id="reasons of rebalancing orders"),
        pytest.param({reason.value for reason in OrderCancellationReason}, id="reasons of orders"),
        pytest.param({status.value for status in OrderStatus}, id="statuses of orders"),
        pytest.param({AccountStatus.ACTIVE, AccountStatus.PENDING_APPROVAL, AccountStatus.CLOSED}, id="accounts"),
    ],
)
def test_everything_that_the_code_knows_by_name_has_a_row(known: set[str]) -> None:
    assert sorted(known - words()) == []

"""What came of it: the report of one service's run, as rows of a table and as reasons to fail."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.table import Table

_PHASES = ("examples", "coverage", "fuzzing", "stateful")


@dataclass(frozen=True)
class Operation:
    """One operation, and how its valid requests fared."""

    label: str
    #: answered with success
    accepted: int
    #: answered with what only the present state explains (404, 409, …)
    refused: int
    #: called invalid although the document calls them valid
    rejected: int


@dataclass(frozen=True)
class Verdict:
    """The outcome for one service."""

    service: str
    selected: int
    tested: int
    requests: int
    seconds: float
    phases: dict[str, str]
    operations: list[Operation]
    #: in words; empty if all is well
    faults: list[str]
    #: what Schemathesis said, with the requests that show each fault
    said: Path

    @property
    def clean(self) -> bool:
        """Whether every check held in every phase of a run that came to its end."""
        return not self.faults


def verdict_in(service: str, report: Path, said: Path) -> Verdict:
    """Read the report of a run."""
    found = json.loads(report.read_text())
    counted = found["operations"]
    operations = [_operation(label, rates) for label, rates in sorted(found["valid_rates"].items())]
    return Verdict(
        service=service,
        selected=counted["total"],
        tested=counted["tested"],
        requests=found["test_cases"]["generated"],
        seconds=found["running_time"],
        phases={phase: found["phases"][phase]["status"] for phase in _PHASES},
        operations=operations,
        faults=[*_faults(found), *(f"no valid request succeeded: {it.label}" for it in operations if not it.accepted)],
        said=said,
    )


def _operation(label: str, rates: dict[str, dict[str, int]]) -> Operation:
    def total(*names: str) -> int:
        return sum(phase[name] for phase in rates.values() for name in names)

    return Operation(label, total("accepted"), total("unreachable", "conflicts"), total("rejected"))


def _faults(found: dict[str, Any]) -> list[str]:
    faults = [
        f"{failure['title']}: {', '.join(failure['operations'])} ({failure['count']} times)"
        for failure in found["failures"]
    ]
    faults += [f"error: {json.dumps(error)[:500]}" for error in found["errors"]]
    counted = found["operations"]
    if not counted["total"] == counted["selected"] == counted["tested"]:
        faults.append(f"{counted['tested']} of {counted['total']} operations were asked")
    if not found["complete"]:
        faults.append(f"it stopped before its end: {found['stop_reason']}")
    return faults


def operations_table(verdicts: Sequence[Verdict]) -> Table:
    """Every operation, with how its valid requests were answered."""
    table = Table(title="valid requests by answer; invalid ones are refused, or it is a fault")
    for column in ("service", "operation", "success", "refused by what is there", "called invalid"):
        table.add_column(column, justify="left" if column in {"service", "operation"} else "right")
    for verdict in verdicts:
        for each in verdict.operations:
            table.add_row(verdict.service, each.label, *map(str, (each.accepted, each.refused, each.rejected)))
    return table


def services_table(verdicts: Sequence[Verdict]) -> Table:
    """Every service, with what was done and what was found."""
    table = Table(title="every check in every phase")
    for column in ("service", "operations", "requests", "seconds", *_PHASES, "faults"):
        table.add_column(column, justify="left" if column == "service" or column in _PHASES else "right")
    for verdict in verdicts:
        table.add_row(
            verdict.service,
            f"{verdict.tested} of {verdict.selected}",
            str(verdict.requests),
            f"{verdict.seconds:.0f}",
            *(verdict.phases[phase] for phase in _PHASES),
            str(len(verdict.faults)),
        )
    return table

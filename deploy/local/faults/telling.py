"""How a run is told: progress while it lasts, the summary, and the story of an account that shows a violation."""

from __future__ import annotations

import json
import platform
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import psutil
from rich.console import Console

from deploy.local.faults.checks import Violation
from deploy.local.faults.evidence import Evidence
from deploy.local.faults.plan import Plan
from deploy.local.faults.stage import SECOND

#: violations that are told one by one, and stories that are told whole
_SHOWN = 20
_STORIES = 2
#: characters of a line of a story that are printed
_LINE = 200


def summary_of(
    plan: Plan, evidence: Evidence, violations: Sequence[Violation], *, commit: str, seconds: float
) -> dict[str, Any]:
    """What came of a run of the sources at `commit`, for people and for documents."""
    faults = evidence.entries("fault")
    return {
        "command": plan.command,
        "commit": commit,
        "seed": plan.seed,
        "at": f"{datetime.now(UTC):%Y-%m-%dT%H:%M:%SZ}",
        "seconds": round(seconds),
        "brokers": plan.brokers,
        "faults": dict(Counter(entry["kind"] for entry in faults)),
        "victims": dict(Counter(entry["victim"].removesuffix(SECOND) for entry in faults)),
        "in_flight_at_fault": _range(entry["in_flight"] for entry in faults),
        "deliveries_at_fault": _range(entry["deliveries"] for entry in faults),
        "items": {
            "requests": sum(entry["via"] == "http" for entry in evidence.asked.values()),
            "commands": sum(entry["via"] == "command" for entry in evidence.asked.values()),
            "engine events": len(evidence.entries("published")),
            "accounts": len(evidence.accounts),
            "orders": len(evidence.orders),
            "records": sum(map(len, evidence.topics.values())),
            "deliveries": len(evidence.deliveries),
            "arrivals": len(evidence.arrivals),
            "parked": len(evidence.parked),
        },
        "states": dict(Counter(row["state"] for row in evidence.deliveries)),
        "memory_mib": {name: round(held) for name, held in sorted(evidence.memory.items())},
        "violations": dict(Counter(violation.promise for violation in violations)),
        "machine": {
            "processors": psutil.cpu_count(),
            "memory_gib": round(psutil.virtual_memory().total / 2**30, 1),
            "python": platform.python_version(),
        },
    }


def _range(counts: Iterable[int]) -> dict[str, int]:
    seen = sorted(counts) or [0]
    return {"least": seen[0], "most": seen[-1]}


def row_of(summary: Mapping[str, Any]) -> str:
    """The run as a row of the table in docs/proof.md, in Markdown."""
    faults = sorted(summary["faults"].items(), key=lambda each: -each[1])
    brokers = ", three brokers" if summary["brokers"] > 1 else ""
    violations = ", ".join(f"{count} of {promise}" for promise, count in summary["violations"].items())
    columns = (
        summary["commit"] + brokers,
        str(summary["seed"]),
        f"{sum(count for _, count in faults)}: " + ", ".join(f"{count} {kind}" for kind, count in faults),
        " to ".join(f"{summary['in_flight_at_fault'][end]:,}" for end in ("least", "most")),
        ", ".join(f"{summary['items'][item]:,}" for item in ("accounts", "orders", "records", "deliveries")),
        f"{f'not clean: {violations}' if violations else 'clean'}, in {summary['seconds']:,} s",
    )
    return f"| {' | '.join(columns)} |"


def tell(console: Console, folder: Path, plan: Plan, evidence: Evidence, violations: Sequence[Violation]) -> None:
    """Print what was found, and keep all of it in the folder."""
    lines = [f"{each.promise} {each.sentence} [account {each.account}]" for each in violations]
    (folder / "violations.txt").write_text("\n".join([*lines, ""]))
    for line in lines[:_SHOWN]:
        console.print(f"✗ {line}", markup=False)
    if len(lines) > _SHOWN:
        console.print(f"… and {len(lines) - _SHOWN} more in {folder / 'violations.txt'}")
    accounts = list(dict.fromkeys(each.account for each in violations if each.account))
    for account in accounts[:_STORIES]:
        story = list(story_of(evidence, account))
        file = folder / f"story-{account}.txt"
        file.write_text("\n".join([*story, ""]))
        console.print(f"\nThe story of account {account}, in full in {file}:")
        for line in story:
            console.print(f"  {line[:_LINE]}", markup=False)
    if violations:
        console.print(f"\n{plan.command} repeats it, as far as chance is ours.")


def story_of(evidence: Evidence, account: str) -> Iterator[str]:
    """Everything that is known of one account: the ledger, the topics, the rows, what arrived."""
    yield from _ledger_of(evidence, account)
    for topic, records in evidence.topics.items():
        for record in records:
            if account in {record.key, record.account}:
                where = f"{topic}/{record.partition}/{record.offset}"
                yield f"topic    {where} {record.type} {record.id} {_shown(record.body)}"
    for name in ("accounts", "configurations", "account_copies", "gates", "orders", "deliveries"):
        yield from (f"{name:<8} {_shown(row)}" for row in getattr(evidence, name) if row["account_id"] == account)
    yield from _sent_of(evidence, account)


def _ledger_of(evidence: Evidence, account: str) -> Iterator[str]:
    ops = {op for op, asked in evidence.asked.items() if asked.get("account") == account}
    for entry in evidence.ledger:
        if entry.get("account") == account or entry.get("op") in ops or entry["what"] == "fault":
            yield f"ledger   {_shown(entry)}"


def _sent_of(evidence: Evidence, account: str) -> Iterator[str]:
    deliveries = {row["id"] for row in evidence.deliveries if row["account_id"] == account}
    yield from (f"attempt  {_shown(row)}" for row in evidence.attempts if row["delivery_id"] in deliveries)
    for arrival in evidence.arrivals:
        if any(event[2] == account for event in arrival["events"]):
            yield f"arrival  {_shown(arrival)}"


def _shown(told: Any) -> str:  # noqa: ANN401 -- any JSON
    return json.dumps(dict(told), default=str, ensure_ascii=False)

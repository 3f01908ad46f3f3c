"""P9 Bounded: nothing is left leased, locked, waiting or open at rest, and memory stayed within its bounds."""

from __future__ import annotations

from collections.abc import Iterator

from deploy.local.faults.checks.violation import Violation
from deploy.local.faults.evidence import Evidence

#: MiB that a service's process may hold, far below what a backlog would take if it were kept in memory
MEMORY_LIMIT = 400.0


def nothing_left(evidence: Evidence) -> Iterator[Violation]:
    """Whatever a fault has interrupted was taken up again and ended."""
    for what, count in evidence.left.items():
        if count:
            yield Violation("P9", f"{what}: {count} left when the patience was over")


def memory(evidence: Evidence) -> Iterator[Violation]:
    """No process held more than it may."""
    for process, held in evidence.memory.items():
        if held > MEMORY_LIMIT:
            yield Violation("P9", f"{process} held {held:.0f} MiB, more than {MEMORY_LIMIT:.0f}")


def no_defect_told(evidence: Evidence) -> Iterator[Violation]:
    """Whatever is away, a request is answered 503 and never 500: that would be a defect of ours."""
    for entry in evidence.entries("answered"):
        if entry["status"] == 500:  # noqa: PLR2004 -- HTTP
            op = entry["op"]
            sentence = f"{entry['service']} answered 500 to {entry['path']} ({op}): {entry['body']}"
            yield Violation("P9", sentence, evidence.asked[op].get("account"))

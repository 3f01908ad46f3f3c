"""What a check finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass

from deploy.local.faults.evidence import Evidence


@dataclass(frozen=True)
class Violation:
    """Something that a promise forbids."""

    #: `P1` to `P9`
    promise: str
    sentence: str
    #: whose story shows it, if it is one account's
    account: str | None = None


#: Reads the evidence and changes nothing.
Check = Callable[[Evidence], Iterator[Violation]]

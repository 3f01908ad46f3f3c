"""The ledger: what was asked for, what was told, and what was broken, outside of the system and never changed.

Lines of JSON, each with its moment (`at`, wall clock in seconds) and what it is (`what`):

- `subscribed`: a subscription stands; nothing that it wants was asked for before
- `asked`: a request (`via` http) or a command (`via` command) is sent; `op` is its idempotency key or its `ce_id`
- `told`: the answer to `op`, final: an HTTP status, or `accepted` and `rejected`
- `published`: an engine's rebalancing event stands on its topic; `stopped` where it must never be sent
- `poisoned`: something unreadable or refusable stands on a topic, and these groups must park it
- `answered`: an HTTP answer that was not final, such as 503
- `fault`: something is broken, with the number of items in flight, and of deliveries open, at that moment
"""

from __future__ import annotations

import time
from collections.abc import Iterator
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import orjson

Entry = dict[str, Any]


class Ledger:
    """Appends; knows what is not answered yet."""

    def __init__(self, file: Path) -> None:
        self._out = file.open("ab", buffering=0)
        #: op -> what was asked for
        self.unanswered: dict[str, Entry] = {}
        #: how often each `what` was written
        self.counts: dict[str, int] = {}

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: type[BaseException] | None, fault: BaseException | None, at: TracebackType | None) -> None:
        self._out.close()

    def write(self, what: str, **told: Any) -> None:  # noqa: ANN401 -- any JSON
        """Append one entry."""
        entry = {"at": time.time(), "what": what, **told}
        self._out.write(orjson.dumps(entry) + b"\n")
        self.counts[what] = self.counts.get(what, 0) + 1
        if what == "asked":
            self.unanswered[told["op"]] = entry
        elif what == "told":
            self.unanswered.pop(told["op"], None)


def entries_of(file: Path) -> Iterator[Entry]:
    """Read a ledger, or a receiver's record; a last line that was cut off is left out."""
    if not file.exists():
        return
    with file.open("rb") as lines:
        for line in lines:
            if line.endswith(b"\n"):
                yield orjson.loads(line)

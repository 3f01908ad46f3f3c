"""Which tests run in one worker, one after the other, and which of them begin first."""

from collections.abc import Sequence
from functools import cache
from pathlib import PurePath
from typing import Final

import pytest
from xdist.scheduler import LoadScopeScheduling

#: Files, and folders, whose tests share a running system: each start of one costs as much as dozens of tests. They
#: stay in one worker; any other file is a group of its own.
SHARING: Final[Sequence[tuple[str, ...]]] = (
    (
        "tests/stories/test_demo.py",
        "tests/stories/test_originals.py",
        "tests/stories/test_restarts.py",
        "tests/stories/test_set_back.py",
    ),
    ("tests/docs/test_readme_commands.py", "tests/docs/test_upstream_page.py", "tests/docs/test_integrating.py"),
    ("tests/integration/all_services",),
    ("tests/integration/local_stack",),
)

#: What takes longest begins first, or one worker is left with it at the end while the others have nothing to do.
LONGEST: Final[tuple[str, ...]] = (
    *SHARING[0],
    "tests/stories",
    "tests/integration/local_stack",
    *SHARING[1],
    "tests/integration/all_services",
    "tests/integration/webhook_dispatcher/test_growth.py",
    "tests/integration/kit/test_crashes.py",
    "tests/integration",
    "tests/promises",
)


def sort_longest_first(items: list[pytest.Item]) -> None:
    """Let the tests begin in that order; within a file they keep theirs."""
    items.sort(key=lambda item: _first_of(LONGEST, _file_of(item.nodeid)))


class BySystem(LoadScopeScheduling):  # type: ignore[misc]  # xdist ships no types
    """Gives each worker one group of tests at a time."""

    def _split_scope(self, nodeid: str) -> str:
        file = _file_of(nodeid)
        return next((group[0] for group in SHARING if _first_of(group, file) < len(group)), file)


def _file_of(nodeid: str) -> str:
    return nodeid.partition("::")[0]


@cache
def _first_of(places: tuple[str, ...], file: str) -> int:
    """The number of the first place that the file is, or lies in; the number of places where there is none."""
    path = PurePath(file)
    return next((number for number, place in enumerate(places) if path.is_relative_to(place)), len(places))

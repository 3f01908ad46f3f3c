"""Explores a small model to a depth: every state that any order of its steps can reach."""

from collections.abc import Callable, Iterable
from typing import TypeVar

S = TypeVar("S")


def explored(first: S, steps: Callable[[S], Iterable[S]], depth: int) -> set[S]:
    """All states within `depth` steps of the first one, which must be hashable."""
    known = edge = {first}
    for _ in range(depth):
        edge = {after for before in edge for after in steps(before)} - known
        known = known | edge
    return known

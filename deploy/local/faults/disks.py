"""A disk that is full, for one process and its children: no file that they write to may grow or change.

The kernel's bound on the size of files does that to any process of one's own, also one that runs, and is lifted again;
a disk that is really full would be everybody's. What a write fails with is EFBIG and not ENOSPC, which is one to Kafka.
PostgreSQL tells them apart: it is left alone.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from contextlib import suppress

import psutil

from deploy.local.processes import Node

#: Linux alone lets one process bound another.
POSSIBLE = hasattr(psutil, "RLIMIT_FSIZE")


def fill(node: Node) -> None:
    """From now on every write to a file fails, with EFBIG."""
    _bound(node, 0)


def empty(node: Node) -> None:
    """Writes are possible again; what has ended meanwhile is left alone."""
    _bound(node, None)


def _bound(node: Node, largest: int | None) -> None:
    """Bound the size of files; None is as large as the process may have it."""
    # The parent first: what it starts meanwhile inherits from it.
    for process in _with_children(node):
        with suppress(psutil.Error, OSError):
            _, most = process.rlimit(psutil.RLIMIT_FSIZE)
            process.rlimit(psutil.RLIMIT_FSIZE, (most if largest is None else largest, most))


def _with_children(node: Node) -> Iterator[psutil.Process]:
    with suppress(psutil.Error, OSError):
        parent = psutil.Process(node.pid)
        if parent.pid != os.getpid():
            yield parent
            yield from parent.children(recursive=True)

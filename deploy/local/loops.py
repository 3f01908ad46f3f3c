"""Runs several things at once, and coroutines to their end, from code that is not asynchronous."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Iterable
from concurrent.futures import FIRST_EXCEPTION, ThreadPoolExecutor, wait
from typing import Any, TypeVar

_T = TypeVar("_T")


def completed(coroutine: Coroutine[Any, Any, _T]) -> _T:
    """Return what the coroutine returns, from a thread of its own: the caller's may have a loop running."""
    with ThreadPoolExecutor(1) as thread:
        return thread.submit(asyncio.run, coroutine).result()


def together(tasks: Iterable[Callable[[], _T]]) -> list[_T]:
    """Run all tasks at once and return what they return, in order; the first failure or Ctrl-C is raised at once.

    The other tasks are not waited for then: they wait for processes of the leash, and end when it is closed.
    """
    started = list(tasks)
    pool = ThreadPoolExecutor(max(1, len(started)))
    try:
        futures = [pool.submit(task) for task in started]
        wait(futures, return_when=FIRST_EXCEPTION)
        failures = [failure for future in futures if future.done() and (failure := future.exception())]
        if failures:
            raise failures[0]
        return [future.result() for future in futures]
    finally:
        pool.shutdown(wait=False, cancel_futures=True)

"""Whether the members of consumer groups have their places, as far as aiokafka knows.

aiokafka joins again by itself whenever the group or the broker asks for it. It was seen to stay in the midst of that
for good, after Kafka had been killed several times: such a member takes nothing, and nothing says so. From what state
it may get there is not known, so what is looked for is the one where it belongs: in its group, beating, with nothing
under way.
"""

import asyncio
import time
from collections.abc import Callable
from typing import Protocol


class Coordinator(Protocol):
    """What aiokafka's coordinator of a group knows; all of it is its own business and may change with its version."""

    #: the broker that keeps the group, while it is known
    coordinator_id: int | None
    #: negative without a place in the group
    generation: int
    _rejoin_needed_fut: "asyncio.Future[None]"
    _coordination_task: "asyncio.Task[None]"
    _heartbeat_task: "asyncio.Task[None] | None"
    _commit_refresh_task: "asyncio.Task[None] | None"


def has_its_place(coordinator: Coordinator) -> bool:
    """Whether the group has this member, which beats, and nothing is under way."""
    beating = coordinator._heartbeat_task  # noqa: SLF001 -- nothing public tells
    refreshing = coordinator._commit_refresh_task  # noqa: SLF001 -- nothing public tells
    return (
        coordinator.generation >= 0
        and not coordinator._rejoin_needed_fut.done()  # noqa: SLF001 -- nothing public tells
        and all(task is not None and not task.done() for task in (beating, refreshing))
    )


def tasks_of(coordinator: Coordinator) -> list["asyncio.Task[None]"]:
    """What runs for the member, and has to end with it."""
    tasks = (
        coordinator._coordination_task,  # noqa: SLF001 -- nothing public tells
        coordinator._heartbeat_task,  # noqa: SLF001 -- nothing public tells
        coordinator._commit_refresh_task,  # noqa: SLF001 -- nothing public tells
    )
    return [task for task in tasks if task is not None]


class Membership:
    """For how long a member has been without its place although the broker that keeps its group is known."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self._since: float | None = None

    def without_place(self, coordinator: Coordinator) -> float:
        """Seconds since it was first seen so; 0 while it has its place, or there is no broker to have it of."""
        if has_its_place(coordinator) or coordinator.coordinator_id is None:
            self._since = None
            return 0.0
        if self._since is None:
            self._since = self._clock()
        return self._clock() - self._since

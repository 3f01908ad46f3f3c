"""Whether the process makes progress (liveness), and whether it may be given work (readiness).

A loop that has died or hangs looks healthy from outside: its process lives and answers. So every loop says that it
turns, and whatever has been silent for longer than it may be is named. Nothing needs to watch the event loop itself:
while it is blocked, nobody is answered.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from dataclasses import dataclass

from prometheus_client import Metric

from .logs import get_logger
from .metrics import LOOP_TURNED

log = get_logger(__name__)

#: Called once in every turn of a loop.
Beat = Callable[[], None]

#: None while all is well, else what is wrong, in words that may be shown to anyone. Raising means the same.
Check = Callable[[], Awaitable[str | None]]


@dataclass(slots=True)
class _Loop:
    hangs_after: float
    last_turn: float


class Liveness:
    """The loops of this process, and which of them have stopped or hang."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic) -> None:
        """Measure silence with `clock`, in seconds."""
        self._clock = clock
        self._loops: dict[str, _Loop] = {}
        self._tasks: dict[str, asyncio.Task[object]] = {}

    def loop(self, name: str, hangs_after: float) -> Beat:
        """Expect a beat at least every `hangs_after` seconds from now on; gives the function to call.

        A loop that is started again under its old name takes its predecessor's place.
        """
        loop = self._loops[name] = _Loop(hangs_after, self._clock())

        def beat() -> None:
            loop.last_turn = self._clock()

        return beat

    def watch(self, name: str, task: "asyncio.Task[object]") -> None:
        """Expect `task` never to end, by returning as little as by raising or by being cancelled."""
        self._tasks[name] = task
        task.add_done_callback(lambda ended: self._tell(name, ended))

    def forget(self, name: str) -> None:
        """Expect nothing more of the loop or task: it is being stopped on purpose."""
        self._loops.pop(name, None)
        self._tasks.pop(name, None)

    def collect(self) -> Iterable[Metric]:
        """How long ago each loop turned."""
        now = self._clock()
        yield LOOP_TURNED.told({(name,): now - loop.last_turn for name, loop in self._loops.items()})

    def problems(self) -> list[str]:
        """Say which loops have ended or hang; empty while all of them turn."""
        now = self._clock()
        ended = [f"{name} has ended" for name, task in self._tasks.items() if task.done()]
        silent = [
            f"{name} has not turned for {now - loop.last_turn:.0f} s"
            for name, loop in self._loops.items()
            if now - loop.last_turn > loop.hangs_after
        ]
        return ended + silent

    def _tell(self, name: str, ended: "asyncio.Task[object]") -> None:
        if self._tasks.get(name) is not ended:
            return
        fault = None if ended.cancelled() else ended.exception()
        log.error("loop_ended", loop=name, cancelled=ended.cancelled(), exc_info=fault)


class Readiness:
    """What each role of this process needs, asked when somebody wants to know."""

    def __init__(
        self,
        *,
        timeout: float = 2.0,
        fresh_for: float = 0.5,
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        """Give each check `timeout` seconds, and reuse the answers for `fresh_for` seconds."""
        self._timeout = timeout
        self._fresh_for = fresh_for
        self._clock = clock
        self._checks: list[tuple[str, str, Check]] = []
        self._asked_at: float | None = None
        self._answers: dict[str, list[str]] = {}
        self._asking = asyncio.Lock()

    def add(self, role: str, name: str, check: Check) -> None:
        """Let `role` be ready only while `check`, shown as `name`, finds nothing wrong."""
        self._checks.append((role, name, check))

    @property
    def roles(self) -> tuple[str, ...]:
        """The roles that have checks, in the order in which they came."""
        return tuple(dict.fromkeys(role for role, _, _ in self._checks))

    async def by_role(self) -> dict[str, list[str]]:
        """Ask all checks at once; gives for each role what is wrong, which is nothing while it is ready."""
        async with self._asking:
            if self._asked_at is None or self._clock() - self._asked_at >= self._fresh_for:
                self._answers = await self._ask()
                self._asked_at = self._clock()
            return self._answers

    async def problems(self, roles: Iterable[str] | None = None) -> list[str]:
        """Say what is wrong for `roles` (all of them by default)."""
        answers = await self.by_role()
        wanted = answers if roles is None else roles
        return [f"{role}: {wrong}" for role in wanted for wrong in answers.get(role, [])]

    async def _ask(self) -> dict[str, list[str]]:
        # A check that several roles share is asked once.
        checks = list(dict.fromkeys((name, check) for _, name, check in self._checks))
        answers = dict(zip(checks, await asyncio.gather(*(self._answer(*each) for each in checks)), strict=True))
        by_role: dict[str, list[str]] = {role: [] for role in self.roles}
        for role, name, check in self._checks:
            wrong = answers[name, check]
            if wrong is not None:
                by_role[role].append(f"{name}: {wrong}")
        return by_role

    async def _answer(self, name: str, check: Check) -> str | None:
        try:
            async with asyncio.timeout(self._timeout):
                return await check()
        except TimeoutError:
            return f"no answer within {self._timeout:g} s"
        except Exception as fault:
            # Its text may name hosts and users: that is for the log, the answer is for anyone.
            log.warning("not_ready", check=name, fault=repr(fault))
            return f"failed with {type(fault).__name__}"

"""How the story is told: a numbered step, what was done, and the evidence that was read."""

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterator
from contextlib import contextmanager
from typing import TypeVar

from rich.console import Console
from rich.markup import escape

T = TypeVar("T")


#: seconds between two looks: whole topics are read for some
_FIRST_PAUSE = 0.05
_LONGEST_PAUSE = 0.5
_SLOWS_DOWN_BY = 1.3


class StepFailedError(Exception):
    """The evidence did not show what the step promises."""


class Teller:
    """Speaks to the person who watches; remembers at which step the story broke."""

    def __init__(self, console: Console, patience: float) -> None:
        #: `patience`: seconds that a step waits for its evidence
        self._console = console
        self._patience = patience
        self._number = 0
        self._began = time.monotonic()
        #: the step that did not hold, in words; None while all did
        self.broken: str | None = None

    @contextmanager
    def step(self, title: str) -> Iterator[None]:
        """Tell what this step is about; a failure within it ends the story and names it."""
        self._number += 1
        self._console.print(f"\n[bold]{self._number}. {escape(title)}[/bold]", soft_wrap=True)
        try:
            yield
        except Exception as fault:
            self.broken = f"step {self._number}, {title}: {fault or repr(fault)}"
            self._console.print(f"   [red]✗ {escape(str(fault) or repr(fault))}[/red]", soft_wrap=True)
            raise

    def did(self, what: str) -> None:
        """Something was done."""
        self._console.print(f"   [dim]{time.monotonic() - self._began:5.1f} s[/dim]  {escape(what)}", soft_wrap=True)

    def seen(self, evidence: str) -> None:
        """Something was read that shows it."""
        self._console.print(f"            [green]✓[/green] {escape(evidence)}", soft_wrap=True)

    async def eventually(self, what: str, question: Callable[[], Awaitable[T]]) -> T:
        """The first true answer; StepFailedError, naming `what`, when patience runs out."""
        deadline, pause = time.monotonic() + self._patience, _FIRST_PAUSE
        while not (answer := await question()):
            if time.monotonic() > deadline:
                raise StepFailedError(f"{what}: not seen within {self._patience:g} s")
            await asyncio.sleep(pause)
            pause = min(pause * _SLOWS_DOWN_BY, _LONGEST_PAUSE)
        self.seen(what)
        return answer


def must(what: str, holds: object) -> None:
    """Raise StepFailedError unless it holds."""
    if not holds:
        raise StepFailedError(what)

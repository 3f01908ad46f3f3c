"""What a command says: tables for people, JSON for programs, a sentence where it fails, a sign where it takes long."""

import asyncio
import json
from collections.abc import Callable, Coroutine, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime
from typing import Annotated, Any, TypeVar

import typer
from aiokafka.errors import KafkaError
from rich.console import Console
from rich.table import Table

from services.ops_console.clients import Reach, Trouble

T = TypeVar("T")

AsJson = Annotated[bool, typer.Option("--json", help="as JSON, for programs")]
Check = Annotated[bool, typer.Option("--check", help="exit with 3 where not all is well")]

#: what `--check` exits with
NOT_WELL = 3
#: work that takes longer shows that it goes on
_SECONDS_WITHOUT_A_WORD = 2.0
#: a program reads what is no terminal, and nothing is to be cut off for it
_WIDE = 400

_COLOURS = {
    "OK": "green", "WARN": "yellow", "STALLED": "red", "STOPPED": "red",
    "DELIVERED": "green", "FAILED": "red", "SUPPRESSED": "yellow", "DISCARDED": "yellow",
}  # fmt: skip


def reach_of(ctx: typer.Context) -> Reach:
    """Where everything is, as the command line was told."""
    reach: Callable[[], Reach] = ctx.obj
    return reach()


def done(reach: Reach, work: Coroutine[Any, Any, T]) -> T:
    """Do it; what a person can be told in one sentence is told so, and the command exits with 1."""
    try:
        return asyncio.run(work)
    except Trouble as trouble:
        raise fails(str(trouble)) from None
    except (KafkaError, TimeoutError, OSError) as fault:
        raise fails(f"Kafka at {reach.kafka.bootstrap} does not do what it is asked ({_named(fault)}).") from None


def fails(sentence: str) -> typer.Exit:
    """The end of a command that could not be carried out."""
    typer.echo(sentence, err=True)
    return typer.Exit(1)


def _named(fault: BaseException) -> str:
    text = str(fault).partition("\n")[0]
    return f"{type(fault).__name__}: {text}" if text else type(fault).__name__


@contextmanager
def working(sentence: str) -> Iterator[Callable[[str], None]]:
    """Show on a terminal that it goes on, if it takes longer than a moment; gives what changes the words."""
    console = Console(stderr=True)
    if not console.is_terminal:
        yield lambda _: None
        return
    status = console.status(sentence)
    timer = asyncio.get_running_loop().call_later(_SECONDS_WITHOUT_A_WORD, status.start)
    try:
        yield status.update
    finally:
        timer.cancel()
        status.stop()


def show_json(value: object) -> None:
    """One document on stdout."""
    typer.echo(json.dumps(value, indent=2, ensure_ascii=False, default=str))


def show_line(value: object) -> None:
    """One document in one line: for what never ends."""
    typer.echo(json.dumps(value, ensure_ascii=False, default=str))


def show_table(head: Sequence[str], rows: Sequence[Sequence[object]], *, empty: str) -> None:
    """A table on stdout, or one sentence where there is nothing."""
    if not rows:
        typer.echo(empty)
        return
    console = Console()
    if not console.is_terminal:
        console = Console(width=_WIDE)
    table = Table(*head, box=None, pad_edge=False, header_style="bold")
    for row in rows:
        table.add_row(*map(_cell, row))
    console.print(table)


def _cell(value: object) -> str:
    if value is None:
        return "-"
    if isinstance(value, datetime):
        return value.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]
    if isinstance(value, float):
        return f"{value:,.1f}"
    if isinstance(value, int):
        return f"{value:,}"
    text = str(value)
    colour = _COLOURS.get(text)
    # What comes from outside may hold what rich takes for markup.
    plain = text.replace("[", "\\[")
    return f"[{colour}]{plain}[/]" if colour else plain

"""`tail`."""

from collections.abc import AsyncGenerator
from contextlib import aclosing
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any

import typer
from rich.console import Console

from services.ops_console.clients import Came, after_the_end
from shared.contracts import TOPICS

from .answers import done, reach_of, show_line

_NAMES = {topic.name for topic in TOPICS}

Topic = Annotated[list[str] | None, typer.Option("--topic", help="only this topic; several times for several")]
Type = Annotated[list[str] | None, typer.Option("--type", help="only this type, such as OrderCancelled; or several")]
Account = Annotated[str | None, typer.Option("--account", help="only what has this account as its key")]
Client = Annotated[str | None, typer.Option("--client", help="only what is this client's")]
Minutes = Annotated[float, typer.Option("--minutes", min=0, help="begin with what came in the last minutes")]
Limit = Annotated[int | None, typer.Option(min=1, help="end after so many")]
Lines = Annotated[bool, typer.Option("--json", help="one line of JSON each, for programs")]


@dataclass(frozen=True)
class Wanted:
    """What is to be shown of all that comes."""

    types: frozenset[str]
    key: str | None
    client_id: str | None

    def has(self, came: Came) -> bool:
        """Whether this is to be shown."""
        if self.types and came.type not in self.types:
            return False
        return self.key in {None, came.key} and self.client_id in {None, came.client_id}


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def tail(
        ctx: typer.Context,
        *,
        topic: Topic = None,
        event_type: Type = None,
        account: Account = None,
        client: Client = None,
        minutes: Minutes = 0.0,
        limit: Limit = None,
        as_json: Lines = False,
    ) -> None:
        """Show messages of the bus as they come, until Ctrl-C."""
        reach = reach_of(ctx)
        unknown = set(topic or ()) - _NAMES
        if unknown:
            raise typer.BadParameter(f"there is no topic {unknown.pop()}; they are {', '.join(sorted(_NAMES))}")
        wanted = Wanted(frozenset(event_type or ()), account and account.lower(), client and client.lower())
        since = datetime.now(UTC) - timedelta(minutes=minutes) if minutes else None
        coming = after_the_end(reach.kafka, topic or sorted(_NAMES), since=since)
        done(reach, _tail(coming, wanted, limit, as_json=as_json))


async def _tail(coming: AsyncGenerator[Came, None], wanted: Wanted, limit: int | None, *, as_json: bool) -> None:
    shown = 0
    console = Console(highlight=False, soft_wrap=True)
    async with aclosing(coming):
        async for came in coming:
            if not wanted.has(came):
                continue
            if as_json:
                show_line(_as_json(came))
            else:
                _show(console, came)
            shown += 1
            if shown == limit:
                return


def _as_json(came: Came) -> dict[str, Any]:
    return {
        "topic": came.topic,
        "partition": came.partition,
        "offset": came.offset,
        "at": came.at.isoformat(),
        "key": came.key,
        "type": came.type,
        "client_id": came.client_id,
        "body": came.body,
        **({"unreadable": came.why} if came.why else {}),
    }


def _show(console: Console, came: Came) -> None:
    console.print(
        f"{came.at:%H:%M:%S}", came.type, came.key, f"{came.topic}/{came.partition}@{came.offset}", markup=False
    )
    for name, value in came.body.items():
        if value is not None:
            console.print(f"    {name}: {value}", markup=False)
    if came.why:
        console.print(f"    cannot be read: {came.why}", markup=False)

"""`outbox`."""

from dataclasses import asdict
from typing import Any

import typer

from services.ops_console.clients import Reach
from services.ops_console.domain import DRAINS_WITHIN
from services.ops_console.use_cases import outboxes_seen

from .answers import NOT_WELL, AsJson, Check, done, reach_of, show_json, show_table, working


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def outbox(
        ctx: typer.Context,
        *,
        check: Check = False,
        as_json: AsJson = False,
    ) -> None:
        """Say what waits in the outbox of each service, and since when.

        With --check, a message that is older than ten seconds is not well.
        """
        reach = reach_of(ctx)
        seen = done(reach, _seen(reach))
        if as_json:
            show_json(seen)
        else:
            rows = [(each["service"], each["rows"], float(each["oldest_seconds"])) for each in seen]
            show_table(("service", "messages", "oldest, seconds"), rows, empty="There are no services.")
        if check and any(each["oldest_seconds"] > DRAINS_WITHIN for each in seen):
            raise typer.Exit(NOT_WELL)


async def _seen(reach: Reach) -> list[dict[str, Any]]:
    async with reach.services() as services:
        with working("Asking the services…"):
            return [asdict(each) for each in await outboxes_seen(services)]

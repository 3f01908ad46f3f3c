"""`account`."""

from dataclasses import asdict
from datetime import UTC, datetime, timedelta
from typing import Annotated
from uuid import UUID

import typer

from services.ops_console.clients import Reach
from services.ops_console.domain import Happened
from services.ops_console.use_cases import story_of

from .answers import AsJson, done, reach_of, show_json, show_table, working

_HEAD = ("when", "told by", "what", "detail")

Account = Annotated[UUID, typer.Argument(help="the account")]
Hours = Annotated[
    float | None, typer.Option("--hours", min=0, help="only the last hours; all that is known if left out")
]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def account(
        ctx: typer.Context,
        *,
        account_id: Account,
        hours: Hours = None,
        as_json: AsJson = False,
    ) -> None:
        """Tell one account's story across the services: configurations, orders, commands, deliveries, in one order."""
        reach = reach_of(ctx)
        since = None if hours is None else datetime.now(UTC) - timedelta(hours=hours)
        story = done(reach, _story(reach, str(account_id), since))
        if as_json:
            show_json([asdict(each) for each in story])
        else:
            rows = [(each.at, each.told_by, each.what, each.detail) for each in story]
            show_table(_HEAD, rows, empty=f"Nothing is known of the account {account_id}.")
        if not story:
            raise typer.Exit(1)


async def _story(reach: Reach, account_id: str, since: datetime | None) -> list[Happened]:
    async with reach.services() as services:
        with working("Reading the topics…") as tell:
            told = lambda found: tell(f"Reading the topics: {found} found…")  # noqa: E731 -- one line says it
            return await story_of(reach, services, account_id, since=since, told=told)

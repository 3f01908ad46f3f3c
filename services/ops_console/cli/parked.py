"""`parked list | show | redrive`."""

from collections import Counter
from typing import Annotated, Any

import typer

from services.ops_console.clients import Parked, Reach, parked_messages, shown
from services.ops_console.use_cases import parked_message, redriven

from .answers import NOT_WELL, AsJson, Check, done, reach_of, show_json, show_table, working

_HEAD = ("parked", "reason", "attempts", "detail", "id")
_DETAIL_SHOWN = 80

Group = Annotated[str | None, typer.Option("--group", help="only this consumer group's")]
Reason = Annotated[str | None, typer.Option("--reason", help="only those parked for this reason")]
Limit = Annotated[int, typer.Option(min=1, max=1_000_000, help="how many at most, the newest of them")]
ParkedId = Annotated[str, typer.Argument(metavar="ID", help="as `parked list` shows it")]
OneId = Annotated[str | None, typer.Option("--id", help="only this one, as `parked list` shows it")]
EveryGroup = Annotated[bool, typer.Option("--all", help="of every group of every service")]
GroupNamed = Annotated[str | None, typer.Argument(metavar="[GROUP]", help="the group that they go back to")]


def commands() -> typer.Typer:
    """The commands under `parked`."""
    app = typer.Typer(no_args_is_help=True, help="Messages that a consumer group could not take, and the way back.")

    @app.command("list")
    def list_(
        ctx: typer.Context,
        *,
        group: Group = None,
        reason: Reason = None,
        limit: Limit = 100,
        check: Check = False,
        as_json: AsJson = False,
    ) -> None:
        """List parked messages, oldest first. They stay for 30 days, also those that were sent back since."""
        reach = reach_of(ctx)
        found = done(reach, _found(reach, group, reason))
        if as_json:
            show_json([shown(each, whole=False) for each in found[-limit:]])
        else:
            rows = [
                (each.at, each.reason, each.attempts, each.detail[:_DETAIL_SHOWN], each.id) for each in found[-limit:]
            ]
            show_table(_HEAD, rows, empty="No messages are parked.")
            _say_how_many(found)
        if check and found:
            raise typer.Exit(NOT_WELL)

    @app.command()
    def show(ctx: typer.Context, *, parked_id: ParkedId) -> None:
        """Show one parked message whole, as JSON: where it stood, why it is parked, its key, headers and body."""
        reach = reach_of(ctx)
        show_json(done(reach, _one(reach, parked_id)))

    @app.command()
    def redrive(
        ctx: typer.Context,
        *,
        group: GroupNamed = None,
        every_group: EveryGroup = False,
        reason: Reason = None,
        parked_id: OneId = None,
        as_json: AsJson = False,
    ) -> None:
        """Send parked messages back to their group alone. One that was sent back before changes nothing."""
        if [group is not None, every_group, parked_id is not None].count(True) != 1:
            raise typer.BadParameter("name a group, or say --all, or name one message with --id")
        reach = reach_of(ctx)
        counts = done(reach, _redriven(reach, group, reason, parked_id))
        if as_json:
            show_json(counts)
        else:
            for name, count in counts.items():
                typer.echo(f"{count} messages redriven to {name}")
        if parked_id and not sum(counts.values()):
            raise typer.Exit(1)

    return app


async def _found(reach: Reach, group: str | None, reason: str | None) -> list[Parked]:
    found: list[Parked] = []
    with working("Reading what is parked…") as tell:
        async for each in parked_messages(reach.kafka, [group] if group else []):
            if reason in {None, each.reason}:
                found.append(each)
            tell(f"Reading what is parked: {len(found)} found…")
    return sorted(found, key=lambda each: each.at)


def _say_how_many(found: list[Parked]) -> None:
    for (group, reason), count in sorted(Counter((each.group, each.reason) for each in found).items()):
        typer.echo(f"{group}: {count} parked for {reason}")


async def _one(reach: Reach, parked_id: str) -> dict[str, Any]:
    with working("Reading what is parked…"):
        return await parked_message(reach.kafka, parked_id)


async def _redriven(reach: Reach, group: str | None, reason: str | None, parked_id: str | None) -> dict[str, int]:
    async with reach.services() as services:
        with working("Sending back…"):
            return await redriven(services, group=group, reason=reason, parked_id=parked_id)

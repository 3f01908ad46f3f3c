"""`lag`."""

from dataclasses import asdict
from typing import Annotated

import typer

from services.ops_console.clients import Reach
from services.ops_console.domain import GroupSeen, Standing, State, worst_of
from services.ops_console.use_cases import groups_seen

from .answers import NOT_WELL, AsJson, Check, done, reach_of, show_json, show_table, working

_HEAD = ("group", "members", "topic", "partition", "records", "seconds", "state")

Group = Annotated[list[str] | None, typer.Option("--group", help="only this group; may be given several times")]
Window = Annotated[float, typer.Option(min=0, max=600, help="seconds to look for; one look (0) shows no movement")]
Partitions = Annotated[bool, typer.Option("--partitions", help="a line for each partition, not for each topic")]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def lag(
        ctx: typer.Context,
        *,
        group: Group = None,
        window: Window = 5.0,
        partitions: Partitions = False,
        check: Check = False,
        as_json: AsJson = False,
    ) -> None:
        """Say how far each consumer group is behind, in records and seconds, and how it does.

        OK: it has caught up or is catching up. WARN: it falls behind. STALLED: it does not get on. STOPPED: nobody is
        in the group. Only where something waits is it looked at for the whole window.
        """
        reach = reach_of(ctx)
        seen = done(reach, _seen(reach, window, group or []))
        if as_json:
            show_json([asdict(each) for each in seen])
        else:
            rows = [row for each in seen for row in _rows(each, partitions=partitions)]
            show_table(_HEAD, rows, empty="There is no such consumer group." if group else "There are no groups.")
        if group and {each.name for each in seen} != set(group):
            raise typer.Exit(1)
        if check and any(each.state is not State.OK for each in seen):
            raise typer.Exit(NOT_WELL)


async def _seen(reach: Reach, window: float, groups: list[str]) -> list[GroupSeen]:
    with working(f"Looking at the groups for {window:g} s…"):
        return await groups_seen(reach.kafka, window, groups)


def _rows(seen: GroupSeen, *, partitions: bool) -> list[tuple[object, ...]]:
    if not seen.partitions:
        return [(seen.name, seen.members, None, None, None, None, seen.state)]
    if partitions:
        return [_row(seen, [each], str(each.partition)) for each in seen.partitions]
    topics = dict.fromkeys(each.topic for each in seen.partitions)
    return [_row(seen, [each for each in seen.partitions if each.topic == topic], "all") for topic in topics]


def _row(seen: GroupSeen, of: list[Standing], partition: str) -> tuple[object, ...]:
    state = worst_of([each.state for each in of]) if seen.members else State.STOPPED
    ages = [each.seconds for each in of if each.seconds is not None]
    oldest = max(ages, default=None)
    return seen.name, seen.members, of[0].topic, partition, sum(each.records for each in of), oldest, state

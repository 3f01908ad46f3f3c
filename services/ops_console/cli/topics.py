"""`topics`."""

from dataclasses import asdict
from typing import Annotated

import typer

from services.ops_console.clients import Reach, TopicSeen, topics_seen

from .answers import AsJson, done, reach_of, show_json, show_table, working

_DAY_MS = 86_400_000
_HEAD = ("topic", "partitions", "replicas", "records", "per second", "kept", "last record")

Window = Annotated[float, typer.Option(min=0, max=600, help="seconds over which rates are measured; 0 for none")]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def topics(ctx: typer.Context, *, window: Window = 1.0, as_json: AsJson = False) -> None:
        """List the topics: partitions, records, rate, how long they are kept, when the last record came."""
        reach = reach_of(ctx)
        seen = done(reach, _seen(reach, window))
        if as_json:
            show_json([asdict(each) for each in seen])
        else:
            show_table(_HEAD, [_row(each) for each in seen], empty="There are no topics: has `migrate` run?")


async def _seen(reach: Reach, window: float) -> list[TopicSeen]:
    with working("Looking at the topics…"):
        return await topics_seen(reach.kafka, window)


def _row(seen: TopicSeen) -> tuple[object, ...]:
    kept = "compacted" if seen.kept == "compact" else f"{int(seen.kept) / _DAY_MS:g} days"
    return seen.name, seen.partitions, seen.replicas, seen.records, seen.rate, kept, seen.last_record_at

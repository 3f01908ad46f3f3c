"""Topics: partitions, records, rate, how long they are kept, the last record."""

from typing import Any

from nicegui import ui
from starlette.requests import Request

from services.ops_console.clients import TopicSeen
from services.ops_console.use_cases import Watch

from .frame import framed, kept_fresh
from .tables import Column, Table, when

_DAY_MS = 86_400_000
_COLUMNS = [
    Column("name", "Topic"),
    Column("partitions", "Partitions", right=True),
    Column("replicas", "Replicas", right=True),
    Column("records", "Records", right=True),
    Column("rate", "Per second", right=True),
    Column("kept", "Kept"),
    Column("last", "Last record (UTC)", short=True),
]


def register(watch: Watch) -> None:
    """Add the page."""

    @ui.page("/topics")
    def topics(request: Request) -> None:
        with framed(request, "/topics"):
            wanted = ui.input("Only topics whose name has").props("clearable outlined dense")
            table: Table[TopicSeen] = Table(
                "Topics", _COLUMNS, lambda: _named(watch, wanted.value), _shown, empty="No topics are seen yet."
            )
            wanted.on_value_change(table.from_the_start)
            kept_fresh(request, watch, table.refresh)


def _named(watch: Watch, part: str | None) -> list[TopicSeen]:
    return [each for each in watch.picture.topics if not part or part in each.name]


def _shown(seen: TopicSeen) -> dict[str, Any]:
    return {
        "key": seen.name,
        "name": seen.name,
        "partitions": seen.partitions,
        "replicas": seen.replicas,
        "records": f"{seen.records:,}",
        "rate": "-" if seen.rate is None else f"{seen.rate:,.1f}",
        "kept": "compacted" if seen.kept == "compact" else f"{int(seen.kept) / _DAY_MS:g} days",
        "last": when(seen.last_record_at),
    }

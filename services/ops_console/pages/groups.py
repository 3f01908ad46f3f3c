"""Consumer groups: how far each is behind, in records and seconds, which way that goes, and how the group does."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any

from nicegui import ui
from starlette.requests import Request

from services.ops_console.domain import GroupSeen, Standing, State, worst_of
from services.ops_console.use_cases import Watch

from .frame import framed, kept_fresh
from .tables import Column, Table, ago

_COLUMNS = [
    Column("group", "Group"),
    Column("state", "State", state=True, short=True),
    Column("members", "Members", right=True),
    Column("topic", "Topic"),
    Column("partition", "Partition", right=True),
    Column("records", "Records behind", right=True),
    Column("seconds", "Behind for", right=True, short=True),
    Column("trend", "Trend of the group"),
]
_HELP = (
    "OK: it has caught up or is catching up. WARN: it falls behind. STALLED: it has members and does not get on. "
    "STOPPED: nobody is in it."
)


@dataclass(frozen=True)
class _Line:
    """A group on one partition, or on all partitions of a topic."""

    group: GroupSeen
    of: Sequence[Standing]
    partition: str


def register(watch: Watch) -> None:
    """Add the page."""

    @ui.page("/groups")
    def groups(request: Request) -> None:
        with framed(request, "/groups"):
            ui.label(_HELP).classes("soft")
            with ui.element("div").classes("row-of"):
                wanted = ui.input("Only groups whose name has").props("clearable outlined dense")
                each = ui.switch("A line for each partition")
            lines = lambda: list(_lines(watch, wanted.value, partitions=bool(each.value)))  # noqa: E731 -- one line
            table: Table[_Line] = Table("Consumer groups", _COLUMNS, lines, _shown, empty="No groups are seen yet.")
            wanted.on_value_change(table.from_the_start)
            each.on_value_change(table.from_the_start)
            kept_fresh(request, watch, table.refresh)


def _lines(watch: Watch, part: str | None, *, partitions: bool) -> Iterator[_Line]:
    for group in watch.picture.groups:
        if part and part not in group.name:
            continue
        if not group.partitions:
            yield _Line(group, (), "")
        elif partitions:
            yield from (_Line(group, (each,), str(each.partition)) for each in group.partitions)
        else:
            by_topic: dict[str, list[Standing]] = {}
            for each in group.partitions:
                by_topic.setdefault(each.topic, []).append(each)
            yield from (_Line(group, of, f"all {len(of)}") for of in by_topic.values())


def _shown(line: _Line) -> dict[str, Any]:
    topic = line.of[0].topic if line.of else "-"
    state = worst_of([each.state for each in line.of]) if line.group.members and line.of else line.group.state
    ages = [each.seconds for each in line.of if each.seconds is not None]
    records = sum(each.records for each in line.of)
    return {
        "key": f"{line.group.name} {topic} {line.partition}",
        "group": line.group.name,
        "state": str(state if line.group.members else State.STOPPED),
        "members": line.group.members,
        "topic": topic,
        "partition": line.partition or "-",
        "records": f"{records:,}",
        "seconds": ago(max(ages, default=None)) if records else "-",
        "trend": str(line.group.trend),
    }

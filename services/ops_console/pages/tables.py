"""Tables that hold a page of rows: whatever there is on the server, so many rows are sent to a browser and no more."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, Final, Generic, TypeVar

from nicegui import ui

Row = TypeVar("Row")

#: rows that a browser is sent at most, of one table
ROWS: Final = 50


@dataclass(frozen=True)
class Action:
    """A button in every row for which it is there."""

    name: str
    label: str
    #: is called with the row's key
    does: Callable[[str], object]


@dataclass(frozen=True)
class Column:
    """One column; `state` colours its words, `link` leads to the row's `href`."""

    name: str
    label: str
    right: bool = False
    state: bool = False
    short: bool = False
    link: bool = False


class Table(Generic[Row]):
    """Some of the rows that there are, filled anew when told to."""

    def __init__(
        self,
        label: str,
        columns: Sequence[Column],
        rows: Callable[[], Sequence[Row]],
        shown: Callable[[Row], dict[str, Any]],
        *,
        actions: Sequence[Action] = (),
        empty: str = "Nothing.",
    ) -> None:
        """Put the table on the page; `shown` gives a row's cells, its `key`, and in `can` the names of its actions."""
        self._rows, self._shown, self._offset = rows, shown, 0
        names = [each.name for each in columns]
        heads = [
            {"name": each.name, "field": each.name, "label": each.label, "align": "right" if each.right else "left"}
            | ({"classes": "short"} if each.short else {})
            for each in columns
        ]
        if actions:
            heads.append({"name": "can", "field": "key", "label": "Actions", "align": "left", "classes": "short"})
        self._table = ui.table(columns=heads, rows=[], row_key="key", pagination={"rowsPerPage": 0})
        self._table.props(f'hide-bottom flat dense aria-label="{label}"')
        self._table.props(f'table-aria-label="{label}"')
        self._names = names
        for column in columns:
            if column.state or column.link:
                self._table.add_slot(f"body-cell-{column.name}", _STATE if column.state else _LINK)
        if actions:
            self._table.add_slot("body-cell-can", "".join([_CAN, *map(_button, actions), "</q-td>"]))
        for action in actions:
            self._table.on(f"does-{action.name}", lambda event, does=action.does: does(str(event.args)))
        with ui.element("div").classes("row-of"):
            self._where = ui.label(empty).classes("soft").props("role=status")
            self._before = ui.button("Before", on_click=lambda: self._turn(-ROWS), color=None)
            self._after = ui.button("Next", on_click=lambda: self._turn(ROWS), color=None)
        for button, word in ((self._before, "before"), (self._after, "after")):
            button.classes("plain").props(f'no-caps flat aria-label="The rows {word} these of {label}"')
        self._empty = empty
        self.refresh()

    def refresh(self) -> None:
        """Show what there is now, if it is not shown already."""
        rows = self._rows()
        self._offset = min(self._offset, max(0, (len(rows) - 1) // ROWS * ROWS))
        page = [self._shown(row) for row in rows[self._offset : self._offset + ROWS]]
        if page != self._table.rows:
            self._table.rows = page
            self._table.update()
        last = self._offset + len(page)
        told = f"{self._offset + 1:,} to {last:,} of {len(rows):,}" if page else self._empty
        if self._where.text != told:
            self._where.text = told
        self._before.set_visibility(self._offset > 0)
        self._after.set_visibility(last < len(rows))

    def from_the_start(self) -> None:
        """Show the first rows: what is asked for has changed."""
        self._offset = 0
        self.refresh()

    def _turn(self, by: int) -> None:
        self._offset = max(0, self._offset + by)
        self.refresh()


_STATE: Final = '<q-td :props="props"><span :class="props.value">{{ props.value }}</span></q-td>'
_LINK: Final = '<q-td :props="props"><a :href="props.row.href">{{ props.value }}</a></q-td>'
_CAN: Final = '<q-td :props="props">'


def _button(action: Action) -> str:
    return (
        f'<q-btn v-if="props.row.can.includes(\'{action.name}\')" dense flat no-caps class="plain q-mr-xs q-px-sm" '
        f'label="{action.label}" :aria-label="\'{action.label} \' + props.row.key" '
        f"@click=\"() => $parent.$emit('does-{action.name}', props.row.key)\" />"
    )


def when(moment: datetime | None) -> str:
    """A moment for people, in UTC to the second."""
    return "-" if moment is None else moment.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S")


def ago(seconds: float | None) -> str:
    """A length of time for people."""
    if seconds is None:
        return "-"
    for size, unit in ((86_400, "d"), (3_600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:,.0f} {unit}"
    return f"{seconds:,.1f} s"

"""Parked messages: why, where from, the whole of one; and the way back for one, or for all that suit."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any, Final

from nicegui import html, ui
from starlette.requests import Request

from services.ops_console.clients import Reach
from services.ops_console.domain import ParkedSeen
from services.ops_console.use_cases import Watch, parked_message, redriven
from shared.kit.logs import get_logger, redact

from .frame import framed, kept_fresh, operator_of, telling
from .tables import Action, Column, Table, when

_COLUMNS = [
    Column("at", "Parked (UTC)", short=True),
    Column("group", "Group"),
    Column("reason", "Reason"),
    Column("detail", "Detail"),
    Column("attempts", "Attempts", right=True),
    Column("origin", "Where it stood"),
    Column("state", "State"),
]
_ALL: Final = "all"
_DETAIL_SHOWN: Final = 160
#: of one message: the rest is on its topic
_MOST_SHOWN: Final = 64 * 1024

_log = get_logger("console")


def register(watch: Watch, reach: Reach) -> None:
    """Add the page."""

    @ui.page("/parked")
    def parked(request: Request) -> None:
        with framed(request, "/parked"):
            _Parked(watch, reach, request)


class _Parked:
    """The page of one browser."""

    def __init__(self, watch: Watch, reach: Reach, request: Request) -> None:
        self._watch, self._reach, self._operator = watch, reach, operator_of(request)
        with ui.element("div").classes("row-of"):
            self._group = ui.select([_ALL], value=_ALL, label="Group").props("outlined dense")
            self._reason = ui.select([_ALL], value=_ALL, label="Reason").props("outlined dense")
            self._also = ui.switch("Also those that were sent back")
            redrive = ui.button("Redrive all that match", on_click=self._ask_about_all, color=None)
            redrive.classes("act").props("no-caps unelevated")
        actions = [Action("show", "Show", self._show), Action("redrive", "Redrive", self._redrive_one)]
        self._table: Table[ParkedSeen] = Table(
            "Parked messages", _COLUMNS, self._rows, _shown, actions=actions, empty="Nothing is parked."
        )
        self._dialog = ui.dialog().props('aria-label="Parked message"')
        for each in (self._group, self._reason, self._also):
            each.on_value_change(self._table.from_the_start)
        self._refresh()
        kept_fresh(request, watch, self._refresh)

    def _refresh(self) -> None:
        pairs = self._watch.parked.pairs()
        for chooser, names in ((self._group, {group for group, _ in pairs}), (self._reason, {why for _, why in pairs})):
            options = [_ALL, *sorted(names | {str(chooser.value)} - {_ALL})]
            if chooser.options != options:
                chooser.set_options(options)
        self._table.refresh()

    def _wanted(self) -> tuple[str | None, str | None]:
        group, reason = (None if each.value == _ALL else str(each.value) for each in (self._group, self._reason))
        return group, reason

    def _rows(self) -> Sequence[ParkedSeen]:
        return self._watch.parked.matching(*self._wanted(), waiting=not self._also.value)

    async def _show(self, parked_id: str) -> None:
        with telling():
            whole = await parked_message(self._reach.kafka, parked_id)
            headers = redact(None, "", whole.pop("headers"))
            value = whole.pop("value")
            self._dialog.clear()
            with self._dialog, ui.card():
                html.h2("Parked message")
                html.pre(json.dumps(whole, indent=2, ensure_ascii=False)).props('tabindex=0 aria-label="About it"')
                html.h2("Headers")
                html.pre(json.dumps(headers, indent=2, ensure_ascii=False)).props('tabindex=0 aria-label="Headers"')
                html.h2("Body")
                html.pre(_cut("null" if value is None else value)).props('tabindex=0 aria-label="Body"')
                ui.button("Close", on_click=self._dialog.close, color=None).classes("plain").props("no-caps flat")
            self._dialog.open()

    async def _redrive_one(self, parked_id: str) -> None:
        await self._redrive(parked_id=parked_id)

    def _ask_about_all(self) -> None:
        group, reason = self._wanted()
        count = len(self._watch.parked.matching(group, reason))
        what = f"{count:,} messages wait of {group or 'every group'}, parked for {reason or 'any reason'}."
        self._dialog.clear()
        with self._dialog, ui.card():
            html.h2("Redrive all that match?")
            html.p(f"{what} All of them go back to their groups; one whose effect was had already changes nothing.")
            with ui.element("div").classes("row-of"):
                go = ui.button("Redrive them", on_click=lambda: self._redrive(group=group, reason=reason), color=None)
                go.classes("act").props("no-caps unelevated")
                ui.button("Cancel", on_click=self._dialog.close, color=None).classes("plain").props("no-caps flat")
        self._dialog.open()

    async def _redrive(self, **chosen: str | None) -> None:
        self._dialog.close()
        with telling():
            async with self._reach.services() as services:
                counts = await redriven(services, **chosen)
            self._watch.hurry()
            named = {name: value for name, value in chosen.items() if value is not None}
            _log.info("redrive asked for", audit=True, operator=self._operator, messages=sum(counts.values()), **named)
            ui.notify(f"{sum(counts.values()):,} messages are on their way back.", type="positive", color="green-10")


def _shown(seen: ParkedSeen) -> dict[str, Any]:
    back = seen.sent_back
    return {
        "key": seen.id,
        "at": when(seen.at),
        "group": seen.group,
        "reason": seen.reason,
        "detail": seen.detail[:_DETAIL_SHOWN],
        "attempts": seen.attempts,
        "origin": f"{seen.topic}, partition {seen.partition}, offset {seen.offset}",
        "state": "waits" if back is None else f"sent back {when(datetime.fromtimestamp(back, UTC))}",
        "can": ["show", "redrive"],
    }


def _cut(text: str) -> str:
    more = len(text) - _MOST_SHOWN
    return text if more <= 0 else f"{text[:_MOST_SHOWN]}\n… and {more:,} characters more"

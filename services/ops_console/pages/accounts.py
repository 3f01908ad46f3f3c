"""One account's story across the services, in one order."""

import asyncio
import json
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, Final
from uuid import UUID

from nicegui import html, ui
from starlette.requests import Request

from services.ops_console.clients import Reach
from services.ops_console.domain import Happened
from services.ops_console.use_cases import Watch, story_of

from .frame import framed, kept_fresh, telling
from .tables import Action, Column, Table

_COLUMNS = [
    Column("at", "When (UTC)", short=True),
    Column("by", "Told by"),
    Column("what", "What"),
    Column("detail", "Detail"),
]
#: of a longer story the newest part is kept
_MOST_KEPT: Final = 5_000
#: stories that this process reads at the same time: each reads whole topics
_AT_ONCE: Final = 2
_SECONDS: Final = 120.0


def register(watch: Watch, reach: Reach) -> None:
    """Add the page."""
    places = asyncio.Semaphore(_AT_ONCE)

    @ui.page("/accounts")
    async def accounts(request: Request) -> None:
        with framed(request, "/accounts"):
            page = _Story(reach, places, request.query_params.get("account", "")[:100])
            kept_fresh(request, watch)
        await ui.context.client.connected()
        await page.tell()


class _Story:
    """The page of one browser."""

    def __init__(self, reach: Reach, places: asyncio.Semaphore, account: str) -> None:
        self._reach, self._places = reach, places
        self._story: Sequence[Happened] = ()
        ui.label("Topics are read from their beginning, or from so many hours ago: that is quicker.").classes("soft")
        with ui.element("div").classes("row-of"):
            self._account = ui.input("Account id", value=account, on_change=None).props("outlined dense size=36")
            self._hours = ui.number("Hours back", min=0, max=24 * 365).props("outlined dense clearable")
            self._tell = ui.button("Tell its story", on_click=self.tell, color=None)
            self._tell.classes("act").props("no-caps unelevated")
        self._account.on("keydown.enter", self.tell)
        self._said = ui.label("").props("role=status")
        self._table: Table[tuple[int, Happened]] = Table(
            "The account's story",
            _COLUMNS,
            lambda: list(enumerate(self._story)),
            _shown,
            actions=[Action("show", "Show", self._show)],
            empty="Nothing is told yet.",
        )
        self._dialog = ui.dialog().props('aria-label="What happened"')

    async def tell(self) -> None:
        """Read the story of the account that is named, if one is."""
        if not (named := str(self._account.value or "").strip()):
            return
        try:
            account_id = str(UUID(named))
        except ValueError:
            self._said.text = "An account id is a UUID."
            return
        since = datetime.now(UTC) - timedelta(hours=self._hours.value) if self._hours.value else None
        self._tell.disable()
        self._said.text = "Reading the topics…"
        with telling():
            async with self._places, asyncio.timeout(_SECONDS), self._reach.services() as services:
                story = await story_of(self._reach, services, account_id, since=since, told=lambda _: None)
            self._story = story[-_MOST_KEPT:]
            left_out = f" The newest {_MOST_KEPT:,} are shown." if len(story) > _MOST_KEPT else ""
            self._said.text = f"{len(story):,} things are known of the account {account_id}.{left_out}"
            self._table.from_the_start()
        self._tell.enable()

    def _show(self, number: str) -> None:
        happened = self._story[int(number)]
        self._dialog.clear()
        with self._dialog, ui.card():
            html.h2(happened.what)
            whole = json.dumps(happened.whole, indent=2, ensure_ascii=False, default=str)
            html.pre(whole).props('tabindex=0 aria-label="All that is known of it"')
            ui.button("Close", on_click=self._dialog.close, color=None).classes("plain").props("no-caps flat")
        self._dialog.open()


def _shown(told: tuple[int, Happened]) -> dict[str, Any]:
    number, happened = told
    return {
        "key": str(number),
        "at": happened.at.astimezone(UTC).strftime("%Y-%m-%d %H:%M:%S.%f")[:-3],
        "by": happened.told_by,
        "what": happened.what,
        "detail": happened.detail,
        "can": ["show"],
    }

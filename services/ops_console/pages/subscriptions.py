"""Subscriptions of all clients: how their endpoints do, what waits for them, pause and resume, failed deliveries."""

from collections.abc import Sequence
from typing import Any

from nicegui import html, ui
from starlette.requests import Request

from services.ops_console.clients import Reach
from services.ops_console.domain import SubscriptionSeen
from services.ops_console.use_cases import Watch, failed_deliveries, pause_subscription, resend
from shared.kit.logs import get_logger

from .frame import framed, kept_fresh, operator_of, telling
from .tables import Action, Column, Table, ago

_COLUMNS = [
    Column("title", "Subscription"),
    Column("host", "Host"),
    Column("client", "Client"),
    Column("state", "State", state=True, short=True),
    Column("circuit", "Circuit", state=True, short=True),
    Column("success", "Success", right=True),
    Column("p95", "p95", right=True, short=True),
    Column("waiting", "Waiting", right=True),
    Column("overdue", "Overdue", right=True, short=True),
]
_FAILED = [
    Column("created", "Planned (UTC)", short=True),
    Column("type", "Type"),
    Column("account", "Account"),
    Column("reason", "Reason"),
    Column("attempts", "Attempts", right=True),
]
_HELP = "Success and p95 are of the attempts of the newest 50 deliveries. OPEN: nothing is sent until a probe succeeds."

_log = get_logger("console")


def register(watch: Watch, reach: Reach) -> None:
    """Add the page."""

    @ui.page("/subscriptions")
    def subscriptions(request: Request) -> None:
        with framed(request, "/subscriptions"):
            _Subscriptions(watch, reach, request)


class _Subscriptions:
    """The page of one browser."""

    def __init__(self, watch: Watch, reach: Reach, request: Request) -> None:
        self._watch, self._reach, self._operator = watch, reach, operator_of(request)
        ui.label(_HELP).classes("soft")
        self._wanted = ui.input("Only titles, hosts or clients with").props("clearable outlined dense")
        actions = [
            Action("pause", "Pause", lambda key: self._pause(key, paused=True)),
            Action("resume", "Resume", lambda key: self._pause(key, paused=False)),
            Action("failed", "Failed deliveries", self._failed),
        ]
        table: Table[SubscriptionSeen] = Table(
            "Subscriptions", _COLUMNS, self._rows, _shown, actions=actions, empty="No subscriptions are seen."
        )
        self._dialog = ui.dialog().props('aria-label="Failed deliveries"')
        self._wanted.on_value_change(table.from_the_start)
        kept_fresh(request, watch, table.refresh)

    def _rows(self) -> Sequence[SubscriptionSeen]:
        part = self._wanted.value
        seen = self._watch.picture.subscriptions
        return [each for each in seen if part in f"{each.title} {each.host} {each.client_id}"] if part else seen

    async def _pause(self, subscription_id: str, *, paused: bool) -> None:
        with telling():
            async with self._reach.services() as services:
                await pause_subscription(services, subscription_id, paused=paused)
            self._watch.hurry()
            does = "paused" if paused else "resumed"
            _log.info(f"subscription {does}", audit=True, operator=self._operator, subscription=subscription_id)
            ui.notify(f"The subscription is {does}.", type="positive", color="green-10")

    async def _failed(self, subscription_id: str) -> None:
        with telling():
            async with self._reach.services() as services:
                found = await failed_deliveries(services, subscription_id)
            self._dialog.clear()
            with self._dialog, ui.card().style("max-width: 90vw"):
                html.h2("Failed deliveries, the newest first")
                actions = [Action("resend", "Send again", self._resend)]
                Table("Failed deliveries", _FAILED, lambda: found, _delivery, actions=actions, empty="None has failed.")
                ui.button("Close", on_click=self._dialog.close, color=None).classes("plain").props("no-caps flat")
            self._dialog.open()

    async def _resend(self, delivery_id: str) -> None:
        with telling():
            async with self._reach.services() as services:
                await resend(services, delivery_id)
            self._watch.hurry()
            _log.info("delivery sent again", audit=True, operator=self._operator, delivery=delivery_id)
            ui.notify("The delivery waits to be sent again.", type="positive", color="green-10")


def _shown(seen: SubscriptionSeen) -> dict[str, Any]:
    state = "OFF" if not seen.enabled else "PAUSED" if seen.paused_at else "OK"
    return {
        "key": seen.id,
        "title": seen.title,
        "host": seen.host,
        "client": seen.client_id,
        "state": state,
        "circuit": seen.circuit,
        "success": f"{100 * seen.delivered / seen.attempts:.0f} %" if seen.attempts else "-",
        "p95": ago(seen.p95_seconds),
        "waiting": f"{seen.waiting:,}{' or more' if seen.waiting_at_least else ''}",
        "overdue": ago(seen.overdue_seconds) if seen.overdue_seconds else "-",
        "can": ["resume" if seen.paused_at else "pause", "failed"],
    }


def _delivery(row: dict[str, Any]) -> dict[str, Any]:
    return {
        "key": row["id"],
        "created": str(row["created_at"])[:19].replace("T", " "),
        "type": row["event_type"],
        "account": row["account_id"] or "-",
        "reason": row["reason"] or "-",
        "attempts": row["attempts"],
        "can": ["resend"],
    }

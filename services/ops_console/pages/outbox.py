"""What waits to be published by each service, and since when."""

from typing import Any

from nicegui import ui
from starlette.requests import Request

from services.ops_console.domain import DRAINS_WITHIN, OutboxSeen
from services.ops_console.use_cases import Watch

from .frame import framed, kept_fresh
from .tables import Column, Table, ago

_COLUMNS = [
    Column("service", "Service"),
    Column("state", "State", state=True),
    Column("rows", "Messages that wait", right=True),
    Column("oldest", "The oldest waits for", right=True),
]
_HELP = f"While a relay runs, a message waits for well below a second. STALLED: one has waited for {DRAINS_WITHIN:g} s."


def register(watch: Watch) -> None:
    """Add the page."""

    @ui.page("/outbox")
    def outbox(request: Request) -> None:
        with framed(request, "/outbox"):
            ui.label(_HELP).classes("soft")
            table: Table[OutboxSeen] = Table(
                "Outboxes", _COLUMNS, lambda: watch.picture.outboxes, _shown, empty="No service has answered yet."
            )
            kept_fresh(request, watch, table.refresh)


def _shown(seen: OutboxSeen) -> dict[str, Any]:
    return {
        "key": seen.service,
        "service": seen.service,
        "state": "OK" if seen.oldest_seconds <= DRAINS_WITHIN else "STALLED",
        "rows": f"{seen.rows:,}",
        "oldest": ago(seen.oldest_seconds),
    }

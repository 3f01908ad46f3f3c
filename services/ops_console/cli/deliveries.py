"""`deliveries`."""

from typing import Annotated, Any

import typer

from services.ops_console.clients import Reach

from .answers import NOT_WELL, AsJson, Check, done, reach_of, show_json, show_table, working

_HEAD = ("created", "type", "account", "state", "reason", "attempts", "subscription", "delivery")
_COLUMNS = ("created_at", "event_type", "account_id", "state", "reason", "attempts", "subscription_id", "id")

Account = Annotated[str | None, typer.Option("--account", help="only those about this account")]
Client = Annotated[str | None, typer.Option("--client", help="only this client's")]
Subscription = Annotated[str | None, typer.Option("--subscription", help="only those to this subscription")]
InState = Annotated[
    str | None, typer.Option("--state", help="WAITING, LEASED, DELIVERED, FAILED, SUPPRESSED, DISCARDED")
]
OfType = Annotated[str | None, typer.Option("--type", help="only those of this webhook type")]
Limit = Annotated[int, typer.Option(min=1, max=100_000, help="how many at most, the newest first")]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def deliveries(
        ctx: typer.Context,
        *,
        account: Account = None,
        client: Client = None,
        subscription: Subscription = None,
        state: InState = None,
        event_type: OfType = None,
        limit: Limit = 50,
        check: Check = False,
        as_json: AsJson = False,
    ) -> None:
        """List deliveries of any client, the newest first; without an account, client or subscription, our own.

        With --check, one that has FAILED is not well.
        """
        reach = reach_of(ctx)
        query = {
            "account_id": account,
            "client_id": client,
            "subscription_id": subscription,
            "state": state,
            "event_type": event_type,
        }
        found = done(reach, _found(reach, query, limit))
        if as_json:
            show_json(found)
        else:
            show_table(_HEAD, [[each[name] for name in _COLUMNS] for each in found], empty="There are no deliveries.")
        if check and any(each["state"] == "FAILED" for each in found):
            raise typer.Exit(NOT_WELL)


async def _found(reach: Reach, query: dict[str, str | None], limit: int) -> list[dict[str, Any]]:
    async with reach.services() as services:
        with working("Asking the dispatcher…"):
            return await services.all_of("webhook_dispatcher", "/ops/deliveries", query, limit)

"""`clients create | list | rotate | revoke`."""

from typing import Annotated, Any
from uuid import UUID, uuid4

import typer

from services.ops_console.clients import Reach

from .answers import AsJson, done, reach_of, show_json, show_table, working

_COLUMNS = ("client_id", "name", "scopes", "created_at", "revoked_at")
_MOST = 100_000
_DAY = 86_400

Client = Annotated[UUID, typer.Argument(help="the client")]
Name = Annotated[str, typer.Option(help="what to call it")]
Scopes = Annotated[str, typer.Option(help="what it may do, such as 'accounts:admin orders:read'")]
Overlap = Annotated[int, typer.Option(min=0, help="seconds for which the secrets before it go on working")]
Revoked = Annotated[bool, typer.Option("--revoked", help="those that were revoked, instead of the others")]


def commands() -> typer.Typer:
    """The commands under `clients`."""
    app = typer.Typer(no_args_is_help=True, help="Clients and their secrets; needs ops:admin, to list them ops:read.")

    @app.command()
    def create(ctx: typer.Context, *, name: Name, scopes: Scopes) -> None:
        """Make a client; prints it with its secret, which nobody can read again, as one line of JSON."""
        reach = reach_of(ctx)
        body = {"name": name, "scopes": scopes.split()}
        made = done(reach, _asked(reach, "POST", "", body=body, headers={"Idempotency-Key": str(uuid4())}))
        show_json({"client_id": made["client_id"], "client_secret": made["client_secret"]})

    @app.command("list")
    def list_(
        ctx: typer.Context,
        *,
        revoked: Revoked = False,
        as_json: AsJson = False,
    ) -> None:
        """List all clients."""
        reach = reach_of(ctx)
        found = done(reach, _listed(reach, revoked=revoked))
        if as_json:
            show_json(found)
            return
        rows = [[" ".join(v) if isinstance(v := each[name], list) else v for name in _COLUMNS] for each in found]
        show_table(_COLUMNS, rows, empty="There are no clients.")

    @app.command()
    def rotate(ctx: typer.Context, *, client: Client, overlap: Overlap = _DAY) -> None:
        """Give a client a new secret; prints it once, as JSON."""
        reach = reach_of(ctx)
        body = {"overlap_seconds": overlap}
        show_json(done(reach, _asked(reach, "POST", f"/{client}/secret/rotate", body=body)))

    @app.command()
    def revoke(ctx: typer.Context, *, client: Client) -> None:
        """Take a client's access back, for good: its webhooks stop, and what waits for them is discarded."""
        reach = reach_of(ctx)
        done(reach, _asked(reach, "DELETE", f"/{client}"))
        typer.echo(f"The client {client} is revoked.")

    return app


async def _asked(reach: Reach, method: str, path: str, **sent: Any) -> dict[str, Any]:  # noqa: ANN401 -- passed on
    async with reach.services() as services:
        with working("Asking config_service…"):
            return await services.ask("config_service", method, f"/clients{path}", **sent)


async def _listed(reach: Reach, *, revoked: bool) -> list[dict[str, Any]]:
    async with reach.services() as services:
        with working("Asking config_service…"):
            return await services.all_of("config_service", "/clients", {"revoked": str(revoked).lower()}, _MOST)

"""The command line of config_service: migrate, run, redrive, client-create."""

import json
import sys
from pathlib import Path
from typing import Annotated
from uuid import UUID

import typer

import shared.kit.quick_start  # noqa: F401 -- before all that takes long to import
from shared.kit.command_line import Migrating, in_loop, main, service_commands
from shared.kit.logs import configure_logs
from shared.kit.refusals import Refused
from shared.kit.service import Service

from .app import build
from .domain import Credentials
from .settings import Settings
from .use_cases import create_client, create_known_client, note_client

_NAME = "config_service"

_KNOWN = (
    "a folder with the files portfolio_bus_client_id and portfolio_bus_client_secret: the client is made with these, "
    "unless it is there, and nothing is printed"
)


def commands() -> typer.Typer:
    """The commands that every service has, and the one that makes clients."""
    app = service_commands(_NAME, Settings, build)

    @app.command("client-create")
    def client_create(
        name: Annotated[list[str], typer.Option(help="what to call the client; given again, another one is made")],
        scopes: Annotated[str, typer.Option(help="what it may do, such as 'accounts:admin orders:read'")],
        known_in: Annotated[Path | None, typer.Option(help=_KNOWN)] = None,
        *,
        migrate: Migrating = False,
    ) -> None:
        """Make a client and print its id and secret, which nobody can read again, as one line of JSON."""
        if known_in and len(name) > 1:
            message = "--known-in makes one client, and takes one --name"
            raise typer.BadParameter(message)
        known = _known_in(known_in) if known_in else None

        async def make(service: Service) -> list[Credentials]:
            async with service.database.unit_of_work() as work:
                if known:
                    return [known] if await create_known_client(work, known, name[0], scopes) else []
                return [await create_client(work, each, scopes) for each in name]

        try:
            made = in_loop(make, build, Settings, _NAME, migrate=migrate)
        except Refused as refused:
            raise SystemExit(refused.detail) from None
        # The secrets alone stand on stdout, so that they can be piped on.
        configure_logs(_NAME, stream=sys.stderr)
        for client in made:
            note_client("client created", UUID(client.client_id), "command line", scopes=sorted(scopes.split()))
            if not known:
                typer.echo(json.dumps(vars(client)))

    return app


def _known_in(folder: Path) -> Credentials:
    """The id and secret that somebody has put into files, named as the console's settings are."""
    try:
        client_id, secret = ((folder / f"portfolio_bus_client_{part}").read_text() for part in ("id", "secret"))
    except OSError as fault:
        sentence = f"{fault.filename} cannot be read ({fault.strerror})."
        raise SystemExit(sentence) from None
    return Credentials(client_id.strip(), secret.strip())


if __name__ == "__main__":
    main(commands())

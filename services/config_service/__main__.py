"""The command line of config_service: migrate, run, redrive, client-create."""

import json
import sys
from typing import Annotated
from uuid import UUID

import typer

from shared.kit.command_line import in_loop, main, service_commands
from shared.kit.logs import configure_logs
from shared.kit.refusals import Refused
from shared.kit.service import Service

from .app import build
from .domain import Credentials
from .settings import Settings
from .use_cases import create_client, note_client

_NAME = "config_service"


def commands() -> typer.Typer:
    """The commands that every service has, and the one that makes clients."""
    app = service_commands(_NAME, Settings, build)

    @app.command("client-create")
    def client_create(
        name: Annotated[str, typer.Option(help="what to call the client")],
        scopes: Annotated[str, typer.Option(help="what it may do, such as 'accounts:admin orders:read'")],
    ) -> None:
        """Make a client and print its id and secret, which nobody can read again, as one line of JSON."""

        async def make(service: Service) -> Credentials:
            async with service.database.unit_of_work() as work:
                return await create_client(work, name, scopes)

        try:
            made = in_loop(make, build, Settings, _NAME)
        except Refused as refused:
            raise SystemExit(refused.detail) from None
        # The secret alone stands on stdout, so that it can be piped on.
        configure_logs(_NAME, stream=sys.stderr)
        note_client("client created", UUID(made.client_id), "command line", scopes=sorted(scopes.split()))
        typer.echo(json.dumps(vars(made)))

    return app


if __name__ == "__main__":
    main(commands())

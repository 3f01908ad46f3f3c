"""`serve`."""

from collections.abc import Callable
from pathlib import Path

import typer

Serve = Callable[[Path | None], None]


def register(app: typer.Typer, serve: Serve) -> None:
    """Add the command; `serve` runs the pages until told to stop."""

    @app.command("serve")
    def serve_(ctx: typer.Context) -> None:
        """Serve the console's pages until told to stop (SIGTERM, Ctrl-C).

        The environment says where everything is; where it does not, .local/stack.json does. It listens at
        PORTFOLIO_BUS_HTTP_HOST and PORTFOLIO_BUS_HTTP_PORT; operators sign in with PORTFOLIO_BUS_CONSOLE_TOKEN.
        """
        serve((ctx.parent.params if ctx.parent else {}).get("stack_file"))

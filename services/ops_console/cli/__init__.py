"""The command line `portfolio-bus`, one module per noun."""

from collections.abc import Callable
from pathlib import Path
from typing import Annotated

import typer

from services.ops_console.clients import Reach

from . import accounts, clients, commands, deliveries, events, grants, groups, outbox, parked, serving, topics, webhooks

_HELP = """Look at what runs and steer it: topics, consumer groups, parked messages, deliveries, accounts.

Where everything is, and as whom to ask, is read from .local/stack.json (which `make up` writes), else from the
environment.
Exit codes: 0 done; 1 it could not be done, with a sentence on stderr; 2 wrong usage; 3 with --check, not all is well.
"""

StackFile = Annotated[
    Path | None, typer.Option(help="the file that `make up` writes; .local/stack.json if that is there")
]


def build_commands(reach: Callable[[Path | None], Reach], serve: serving.Serve) -> typer.Typer:
    """The whole command line; `reach` says where everything is, once that is needed, and `serve` serves the pages."""
    app = typer.Typer(name="portfolio-bus", help=_HELP, no_args_is_help=True, pretty_exceptions_enable=False)

    @app.callback()
    def common(ctx: typer.Context, *, stack_file: StackFile = None) -> None:
        # Not before a command asks for it: help and completion need no system.
        ctx.obj = lambda: reach(stack_file)

    for noun in (topics, groups, outbox, deliveries, accounts, commands, events, webhooks, grants):
        noun.register(app)
    serving.register(app, serve)
    app.add_typer(parked.commands(), name="parked")
    app.add_typer(clients.commands(), name="clients")
    return app

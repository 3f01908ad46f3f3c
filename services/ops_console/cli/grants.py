"""`grant`."""

from typing import Annotated

import typer

from services.ops_console.clients import Reach, Trouble
from shared.kit.grants import NotGrantedError, grant, grants_to_look

from .answers import AsJson, done, reach_of, show_json, working

Principal = Annotated[
    str, typer.Argument(help="as Kafka calls whom the console signs in as: User:ops_console", metavar="PRINCIPAL")
]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("grant")
    def grant_(ctx: typer.Context, principal: Principal, *, as_json: AsJson = False) -> None:
        """Let PRINCIPAL do on Kafka what this console needs: look at everything, and send commands.

        It is run as an administrator of Kafka. The services are granted theirs by their `migrate`.
        """
        reach = reach_of(ctx)
        count = done(reach, _granted(reach, principal))
        if as_json:
            show_json({"principal": principal, "entries": count})
        else:
            typer.echo(f"{principal} has {count} entries in Kafka's access lists.")


async def _granted(reach: Reach, principal: str) -> int:
    if not principal.startswith("User:") or principal == "User:":
        message = f"{principal} is no principal: it begins with User:"
        raise Trouble(message)
    with working("Telling Kafka…"):
        try:
            return await grant(reach.kafka, principal, grants_to_look())
        except NotGrantedError as fault:
            message = f"Kafka did not take the access lists for {principal}: {fault}."
            raise Trouble(message) from None

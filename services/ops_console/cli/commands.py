"""`send`."""

import json
import sys
from pathlib import Path
from typing import Annotated, Any

import typer
from pydantic import ValidationError

from services.ops_console.clients import Reach, Trouble, send
from shared.contracts import MESSAGES, Command, CommandAccepted, CommandRejected, Record, record_of

from .answers import done, reach_of, show_json, working

_SOURCE = "/ops_console"
_COMMANDS = sorted(name for name, kind in MESSAGES.items() if issubclass(kind, Command))


def _completed(incomplete: str) -> list[str]:
    return [name for name in _COMMANDS if name.lower().startswith(incomplete.lower())]


Type = Annotated[str, typer.Argument(help="the command, such as CreateConfiguration", autocompletion=_completed)]
File = Annotated[Path | None, typer.Argument(help="a file with its body as JSON; stdin if left out", exists=True)]
Id = Annotated[str | None, typer.Option("--id", help="its id: a command that is sent again under it has one effect")]
Key = Annotated[str | None, typer.Option("--key", help="the record's key, for commands that leave it to their sender")]
Wait = Annotated[float, typer.Option(min=0.1, max=600, help="seconds to wait for the reply")]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command("send")
    def send_(
        ctx: typer.Context,
        *,
        command: Type,
        file: File = None,
        command_id: Id = None,
        key: Key = None,
        wait: Wait = 30.0,
    ) -> None:
        """Send a command on Kafka and wait for its reply, which is printed as JSON; exits with 1 if it was rejected."""
        reach = reach_of(ctx)
        body = file.read_bytes() if file else sys.stdin.buffer.read()
        try:
            record = _record(reach, command, body, command_id, key)
        except Trouble as trouble:
            raise typer.BadParameter(str(trouble)) from None
        reply = done(reach, _replied(reach, record, wait))
        accepted = isinstance(reply, CommandAccepted)
        show_json({"reply": type(reply).__name__, **_said(reply)})
        if not accepted:
            raise typer.Exit(1)


def _record(reach: Reach, name: str, body: bytes, command_id: str | None, key: str | None) -> Record:
    kind = MESSAGES.get(name)
    if kind is None or not issubclass(kind, Command):
        message = f"There is no command {name}; the commands are {', '.join(_COMMANDS)}."
        raise Trouble(message)
    try:
        message_ = kind.model_validate_json(body)
        return record_of(message_, client_id=reach.client, source=_SOURCE, id=command_id, key=key)
    except ValidationError as fault:
        faults = [f"{'.'.join(map(str, each['loc'])) or 'body'}: {each['msg']}" for each in fault.errors()]
        message = f"The body is no {name}: {'; '.join(faults)}."
        raise Trouble(message) from fault
    except ValueError as fault:
        raise Trouble(str(fault)) from fault


async def _replied(reach: Reach, record: Record, wait: float) -> CommandAccepted | CommandRejected:
    with working("Waiting for the reply…"):
        return await send(reach.kafka, record, wait)


def _said(reply: CommandAccepted | CommandRejected) -> dict[str, Any]:
    told: dict[str, Any] = json.loads(reply.model_dump_json(exclude_none=True))
    return told

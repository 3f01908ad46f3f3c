"""`listen`."""

import asyncio
import signal
from enum import StrEnum
from typing import Annotated

import typer
from rich.console import Console

from services.ops_console.clients import Behaviour, Delivered, Reach, Receiver

from .answers import done, reach_of, show_line

_TITLE = "portfolio-bus listen"


class Answer(StrEnum):
    """How the receiver answers."""

    OK = "200"
    ERROR = "500"
    TOO_MANY = "429"
    GONE = "410"
    HANG = "hang"


Types = Annotated[list[str] | None, typer.Option("--type", help="ALL, a category or a full type; may be given again")]
Port = Annotated[int, typer.Option(min=0, max=65_535, help="the port to listen on; 0 takes any free one")]
Host = Annotated[str, typer.Option(help="the address to listen on")]
Url = Annotated[str | None, typer.Option(help="how the dispatcher reaches us, where that is not the address itself")]
AnswerWith = Annotated[
    Answer, typer.Option(help="what to answer; 410 switches the subscription off, hang never answers")
]
RetryAfter = Annotated[int | None, typer.Option(min=0, help="the Retry-After of a 429, in seconds")]
Times = Annotated[int | None, typer.Option(min=1, help="answer so only so many times, and 200 from then on")]
Ordered = Annotated[bool, typer.Option("--ordered", help="one account's events one after the other")]
Limit = Annotated[int | None, typer.Option(min=1, help="end after so many requests")]
Lines = Annotated[bool, typer.Option("--json", help="one line of JSON each, for programs")]


def register(app: typer.Typer) -> None:
    """Add the command."""

    @app.command()
    def listen(
        ctx: typer.Context,
        *,
        event_type: Types = None,
        host: Host = "127.0.0.1",
        port: Port = 0,
        url: Url = None,
        answer: AnswerWith = Answer.OK,
        retry_after: RetryAfter = None,
        times: Times = None,
        ordered: Ordered = False,
        limit: Limit = None,
        as_json: Lines = False,
    ) -> None:
        """Receive webhooks here: subscribe, verify and show what arrives, and unsubscribe at the end (Ctrl-C).

        Other answers than 200 show how the dispatcher behaves towards an endpoint that fails, asks it to wait, is gone
        or hangs. Exits with 1 if a signature did not hold.
        """
        reach = reach_of(ctx)
        status = None if answer is Answer.HANG else int(answer)
        receiver = Receiver(host, port, Behaviour(status, retry_after, times))
        wanted: dict[str, object] = {"title": _TITLE, "type": event_type or ["ALL"], "config": {"ordered": ordered}}
        if not done(reach, _listen(reach, receiver, url, wanted, limit, as_json=as_json)):
            raise typer.Exit(1)


async def _listen(
    reach: Reach, receiver: Receiver, url: str | None, wanted: dict[str, object], limit: int | None, *, as_json: bool
) -> bool:
    """Show what arrives until it is enough; answers whether every signature has held."""
    asyncio.get_running_loop().add_signal_handler(signal.SIGTERM, _cancel, asyncio.current_task())
    console, all_held, count = Console(highlight=False, soft_wrap=True), True, 0
    async with reach.services() as services, receiver.subscribed(services, url, wanted) as where:
        typer.echo(f"Listening at {where}; Ctrl-C ends it and unsubscribes.", err=True)
        async for delivered in receiver.deliveries():
            _show(console, delivered, as_json=as_json)
            all_held &= delivered.verified
            count += 1
            if count == limit:
                break
    return all_held


def _cancel(task: "asyncio.Task[bool] | None") -> None:
    if task is not None:
        task.cancel()


def _show(console: Console, delivered: Delivered, *, as_json: bool) -> None:
    if as_json:
        show_line(delivered.as_json())
        return
    holds = "signature holds" if delivered.verified else "SIGNATURE DOES NOT HOLD"
    console.print(
        f"{delivered.at:%H:%M:%S} {delivered.message_id} {holds}, answered {delivered.answered}", markup=False
    )
    for event in delivered.events:
        about = event.get("object", {})
        told = {name: about[name] for name in ("account_id", "id", "status", "version") if about.get(name) is not None}
        console.print(
            f"    {event.get('type')} ", " ".join(f"{name}={value}" for name, value in told.items()), markup=False
        )

"""The command line that every service has: migrate, run, redrive, skip; and reseal, where it keeps secrets."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Annotated, Any, TypeVar

import typer
import uvloop

from . import quick_start
from . import service as services
from .grants import NotGrantedError
from .logs import configure_logs
from .redrive import redrive
from .sealing import NotAllSealedError, seal_anew
from .secrets import SecretBox
from .service import Role, Service
from .settings import KitSettings, SealingSettings, settings_or_exit
from .skipping import NotSkippedError, Skipped, skip
from .subscriber import Subscriber
from .topics import TopicMismatchError

S = TypeVar("S", bound=KitSettings)
T = TypeVar("T")

#: An option of whatever needs the tables: one process where the separate step would be two.
Migrating = Annotated[bool, typer.Option("--migrate", help="do first what `migrate` does")]


def service_commands(name: str, settings: type[S], build: Callable[[S], Service]) -> typer.Typer:
    """The commands of the service `name`; `build` is its composition root."""
    app = typer.Typer(no_args_is_help=True, pretty_exceptions_enable=False, help=f"portfolio-bus: {name}")

    @app.command("migrate")
    def migrate_() -> None:
        """Bring the database to the newest schema, then create the topics that are missing."""
        created = in_loop(services.migrate, build, settings, name)
        typer.echo(f"{name}: schema is current, {len(created)} topics created")

    @app.command()
    def run(
        roles: Annotated[str, typer.Option(help="which of api, consumers, workers, parted by commas")] = "",
        *,
        migrate: Migrating = False,
    ) -> None:
        """Run until told to stop (SIGTERM, Ctrl-C)."""
        wanted = frozenset(Role(role.strip()) for role in roles.split(",") if role.strip()) or frozenset(Role)
        in_loop(lambda service: services.run(service, wanted), build, settings, name, migrate=migrate)

    @app.command("redrive")
    def redrive_(
        group: Annotated[str, typer.Argument(help="the consumer group whose parked messages go back to it")],
        reason: Annotated[str, typer.Option(help="only those parked for this reason")] = "",
    ) -> None:
        """Send a group's parked messages back to that group alone."""
        count = in_loop(lambda service: _redriven(service, group, reason or None), build, settings, name)
        typer.echo(f"{count} messages redriven to {group}")

    @app.command("skip")
    def skip_(
        group: Annotated[str, typer.Argument(help="the consumer group that cannot get on")],
        topic: Annotated[str, typer.Argument(help="the topic, as the contract calls it")],
        partition: Annotated[int | None, typer.Option(min=0, help="in this partition alone, with --to")] = None,
        to: Annotated[int | None, typer.Option(min=0, help="the offset that it goes on with")] = None,
    ) -> None:
        """Move a group on past records that are gone, or that cannot be taken apart; nobody may consume for it."""
        if (partition is None) != (to is None):
            message = "--partition and --to are given together"
            raise typer.BadParameter(message)
        moved = in_loop(lambda service: _skipped(service, group, topic, partition, to), build, settings, name)
        for each in moved:
            typer.echo(f"{topic}/{each.partition}: goes on at {each.at} instead of {each.instead_of}")
        typer.echo(f"{group} was moved on in {len(moved)} partitions")

    if issubclass(settings, SealingSettings):

        @app.command()
        def reseal() -> None:
            """Seal everything anew under the first of the secret keys; may be stopped and run again at any time."""
            count = in_loop(_resealed, build, settings, name)
            typer.echo(f"{name}: {count} values sealed anew")

    return app


async def _resealed(service: Service) -> int:
    chosen = service.settings
    if not isinstance(chosen, SealingSettings):
        raise TypeError
    try:
        return await seal_anew(service.database, SecretBox(chosen.sealing_keys), service.sealed)
    except NotAllSealedError as fault:
        raise SystemExit(str(fault)) from None


async def _redriven(service: Service, group: str, reason: str | None) -> int:
    _must_have(service, group)
    return await redrive(service.kafka, group, reason=reason)


async def _skipped(service: Service, group: str, topic: str, partition: int | None, to: int | None) -> list[Skipped]:
    subscriber = _must_have(service, group)
    topics = sorted(each.name for each in subscriber.all_topics)
    if topic not in topics:
        sentence = f"{group} does not read {topic}; it reads {', '.join(topics)}."
        raise SystemExit(sentence)
    try:
        return await skip(service.database, service.kafka, group, topic, partition=partition, to=to)
    except NotSkippedError as fault:
        sentence = f"{fault}."
        raise SystemExit(sentence) from None


def _must_have(service: Service, group: str) -> Subscriber:
    found = next((subscriber for subscriber in service.subscribers if subscriber.group == group), None)
    if found is None:
        groups = sorted(subscriber.group for subscriber in service.subscribers)
        sentence = f"{service.name} has no consumer group {group}; it has {', '.join(groups)}."
        raise SystemExit(sentence)
    return found


def in_loop(
    work: Callable[[Service], Coroutine[Any, Any, T]],
    build: Callable[[S], Service],
    settings: type[S],
    name: str,
    *,
    migrate: bool = False,
) -> T:
    """Build the service from the environment and do `work` with it, on the newest schema and topics if so told."""
    quick_start.end()
    chosen = settings_or_exit(settings)
    configure_logs(name, chosen.log_level)

    async def with_service() -> T:
        try:
            service = build(chosen)
            if migrate:
                await services.migrate(service)
            return await work(service)
        except TopicMismatchError as mismatch:
            sentence = f"{mismatch}."
            raise SystemExit(sentence) from None
        except NotGrantedError as fault:
            sentence = f"Kafka did not take the access lists for {chosen.kafka_grant_to}: {fault}."
            raise SystemExit(sentence) from None

    return uvloop.run(with_service())


def main(app: typer.Typer) -> None:
    """Run the command line; Ctrl-C is no error."""
    try:
        app()
    except (KeyboardInterrupt, asyncio.CancelledError):
        raise SystemExit(130) from None

"""The console put together."""

from pathlib import Path

import typer

from shared.kit.kafka import Kafka

from .cli import build_commands
from .clients import Reach
from .settings import settings_of


def build() -> typer.Typer:
    """The command line, with nothing opened or read yet."""
    return build_commands(_reach)


def _reach(stack_file: Path | None) -> Reach:
    settings = settings_of(stack_file)
    kafka = Kafka(settings.kafka, settings.topic_prefix, client_id="ops_console") if settings.kafka else None
    secret = settings.client_secret.get_secret_value() if settings.client_secret else None
    return Reach(kafka, settings.urls, settings.client_id, secret)

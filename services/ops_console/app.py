"""The console put together."""

import logging
from pathlib import Path

import typer
import uvloop

from shared.kit.kafka import Kafka
from shared.kit.logs import configure_logs

from .cli import build_commands
from .clients import Provider, Reach, Registration
from .settings import Settings, settings_of, settings_to_serve
from .workers import watching


def build() -> typer.Typer:
    """The command line, with nothing opened or read yet."""
    return build_commands(lambda stack_file: _reach(settings_of(stack_file)), _serve)


def _reach(settings: Settings) -> Reach:
    security = settings.kafka_security
    kafka = Kafka(settings.kafka, settings.topic_prefix, "ops_console", security) if settings.kafka else None
    secret = settings.client_secret.get_secret_value() if settings.client_secret else None
    return Reach(kafka, settings.urls, settings.client_id, secret)


def _serve(stack_file: Path | None) -> None:
    """Run the pages until told to stop; ends with one sentence where a setting that they need is missing."""
    settings = settings_to_serve(stack_file)
    token = settings.console_token
    if token is None:
        message = "PORTFOLIO_BUS_CONSOLE_TOKEN is not set: nobody could sign in."
        raise SystemExit(message)
    reach = _reach(settings)
    missing = [name for name in ("kafka", "client_id", "client_secret") if getattr(settings, name) is None]
    if missing:
        message = f"PORTFOLIO_BUS_{missing[0].upper()} is not set, and there is no file of `make up`."
        raise SystemExit(message)
    # NiceGUI takes a second to import, which no other command needs to wait for.
    from .pages import Access, serve_pages  # noqa: PLC0415

    logging.disable(logging.NOTSET)
    configure_logs("ops_console", settings.log_level)
    provider = _provider(settings)
    access = Access(
        token.get_secret_value(),
        hours=settings.console_session_hours,
        secure=settings.console_secure,
        guesses=settings.console_guesses,
        provider=provider.host if provider else None,
    )
    uvloop.run(serve_pages(reach, access, settings, watching, provider))


def _provider(settings: Settings) -> Provider | None:
    issuer, client_id, secret = (
        settings.console_oidc_issuer,
        settings.console_oidc_client_id,
        settings.console_oidc_client_secret,
    )
    if issuer is None or client_id is None or secret is None:
        return None
    return Provider(
        Registration(
            issuer=issuer,
            client_id=client_id,
            client_secret=secret.get_secret_value(),
            redirect_uri=f"{(settings.console_url or '').rstrip('/')}/sign-in/provider/callback",
            claim=settings.console_oidc_claim,
            value=settings.console_oidc_value or "",
        )
    )

"""Where the system is that the command line looks at, and as whom: from the file of the local stack or the environment.

The file that `make up` writes has everything; where there is none, the environment says it.
"""

import json
from pathlib import Path
from typing import Any, Self

from pydantic import Field, SecretStr, model_validator
from pydantic_settings import SettingsConfigDict

from shared.kit.kafka_security import KafkaSecuritySettings
from shared.kit.settings import PREFIX, LogLevel, settings_or_exit

#: what `make up` writes
STACK_FILE = Path(".local/stack.json")

_URL = r"^https?://[^\s/]+[^\s]*$"


class Settings(KafkaSecuritySettings):
    """The settings of the command line and of the pages. Each command needs its part of them alone."""

    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True)

    kafka: str | None = Field(
        None,
        pattern=r"^[^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*$",
        description="bootstrap servers of Kafka, host:port parted by commas",
    )
    topic_prefix: str = Field("", pattern=r"^[A-Za-z0-9._-]{0,64}$", description="what stands before topics and groups")
    config_service_url: str | None = Field(
        None, pattern=_URL, description="base URL of config_service, which also gives the token"
    )
    order_service_url: str | None = Field(None, pattern=_URL, description="base URL of order_service")
    webhook_dispatcher_url: str | None = Field(None, pattern=_URL, description="base URL of webhook_dispatcher")
    client_id: str | None = Field(
        None, min_length=1, max_length=100, description="the client as which the command line acts"
    )
    client_secret: SecretStr | None = Field(None, description="that client's secret")

    console_token: SecretStr | None = Field(
        None,
        min_length=20,
        max_length=200,
        description="what an operator signs in to the console's pages with; `serve` needs it",
    )
    console_secure: bool = Field(
        default=False, description="whether browsers may send the session over HTTPS alone: set it behind TLS"
    )
    console_session_hours: float = Field(12.0, gt=0, le=24 * 30, description="hours until an operator signs in anew")
    console_guesses: int = Field(
        10, ge=1, le=1_000, description="wrong tokens that may be shown a minute before signing in is refused with 429"
    )
    console_url: str | None = Field(
        None, pattern=_URL, description="where browsers find the console; an OpenID provider sends people back there"
    )
    console_oidc_issuer: str | None = Field(
        None, pattern=_URL, description="an OpenID provider that operators sign in with, as it calls itself in `iss`"
    )
    console_oidc_client_id: str | None = Field(None, min_length=1, description="as which client it knows the console")
    console_oidc_client_secret: SecretStr | None = Field(None, description="that client's secret")
    console_oidc_claim: str = Field(
        "groups", pattern=r"^[!-~]{1,128}$", description="the claim of its ID tokens that says who is an operator"
    )
    console_oidc_value: str | None = Field(
        None, min_length=1, description="what that claim is, or holds, of those who may sign in"
    )
    http_host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    http_port: int = Field(0, ge=0, le=65_535, description="port to listen on; 0 takes any free one")
    log_level: LogLevel = Field("INFO", description="the least severe log line that is written")
    shutdown_grace: float = Field(
        20.0, gt=0, le=600, description="seconds in which what is in flight may finish after SIGTERM"
    )

    @model_validator(mode="after")
    def _names_a_provider_whole_or_not_at_all(self) -> Self:
        named = [self.console_oidc_issuer, self.console_oidc_client_id, self.console_oidc_client_secret]
        if any(named) and not all([*named, self.console_oidc_value, self.console_url]):
            message = (
                "PORTFOLIO_BUS_CONSOLE_URL and PORTFOLIO_BUS_CONSOLE_OIDC_ISSUER, _CLIENT_ID, _CLIENT_SECRET and "
                "_VALUE are set together"
            )
            raise ValueError(message)
        return self

    @property
    def urls(self) -> dict[str, str]:
        """The base URLs that are set, by the names of the services' folders."""
        told = {
            "config_service": self.config_service_url,
            "order_service": self.order_service_url,
            "webhook_dispatcher": self.webhook_dispatcher_url,
        }
        return {name: url.rstrip("/") for name, url in told.items() if url is not None}


def settings_of(stack_file: Path | None) -> Settings:
    """Read the settings from `stack_file`, or from `.local/stack.json` if it is there, or else from the environment.

    Ends the program with one sentence where one is malformed; what is not set is missed by the command that needs it.
    """
    if stack_file is None and not STACK_FILE.exists():
        return settings_or_exit(Settings)
    return _from_stack_file(stack_file or STACK_FILE)


def settings_to_serve(stack_file: Path | None) -> Settings:
    """Read the settings of a server: as above, but the environment goes before a file that was not named."""
    told = settings_of(stack_file) if stack_file else settings_or_exit(Settings)
    return told if told.kafka else settings_of(None)


def _from_stack_file(path: Path) -> Settings:
    try:
        told: dict[str, Any] = json.loads(path.read_text())
        services, client = told["services"], told["clients"][0]
        return Settings(
            kafka=told["kafka"],
            topic_prefix=told.get("topic_prefix", ""),
            config_service_url=services["config_service"],
            order_service_url=services["order_service"],
            webhook_dispatcher_url=services["webhook_dispatcher"],
            client_id=client["client_id"],
            client_secret=client["client_secret"],
        )
    except (OSError, ValueError, LookupError, TypeError) as fault:
        # Not the fault's own text: what the file holds may be a secret.
        message = f"{path} cannot be read as the file that `make up` writes ({type(fault).__name__})."
        raise SystemExit(message) from None

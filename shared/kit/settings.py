"""What the environment decides for every service: read once at start, frozen, typed, described."""

import os
import re
from pathlib import Path
from typing import Annotated, Literal, Self, TypeVar

from pydantic import BeforeValidator, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, NoDecode, SettingsConfigDict, SettingsError
from sqlalchemy import make_url
from sqlalchemy.exc import ArgumentError

from .kafka_security import KafkaSecuritySettings
from .tracing import Tracer

PREFIX = "PORTFOLIO_BUS_"

#: Names a folder whose files hold settings, as orchestrators mount secrets: each is called like its variable, in small
#: letters. What stands in the environment goes before.
SECRETS_DIR = f"{PREFIX}SECRETS_DIR"

LogLevel = Literal["DEBUG", "INFO", "WARNING", "ERROR"]


#: asymmetric, so that what verifies cannot sign; the kit's keys know which of them fits which key
_SIGNING = frozenset(
    ["RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA", "Ed25519"]
)

_FERNET_KEY = re.compile(r"[A-Za-z0-9_-]{43}=")


def _comma_separated(value: str) -> list[str]:
    return [part.strip() for part in value.split(",") if part.strip()]


def _names(value: object) -> object:
    return _comma_separated(value) if isinstance(value, str) else value


#: Names parted by commas. NoDecode, because pydantic-settings would read a set as JSON.
Names = Annotated[frozenset[str], NoDecode, BeforeValidator(_names)]


class KitSettings(KafkaSecuritySettings):
    """The settings that the services have in common; each service's own class adds what only it needs."""

    # Without hide_input_in_errors a malformed database URL would be printed with its password.
    model_config = SettingsConfigDict(env_prefix=PREFIX, frozen=True, extra="ignore", hide_input_in_errors=True)

    database_url: SecretStr = Field(description="the service's own database, postgresql://user:password@host:port/name")
    kafka: str = Field(
        pattern=r"^[^\s,:]+:\d{1,5}(,[^\s,:]+:\d{1,5})*$",
        description="bootstrap servers of Kafka, host:port parted by commas",
    )
    kafka_grant_to: str | None = Field(
        None,
        pattern=r"^User:[^\s*]+$",
        description="whom `migrate`, run as an administrator of Kafka, lets do there what the service needs, as "
        "User:order_service; nobody without it",
    )
    issuer_url: str = Field(
        pattern=r"^https?://[^\s/]+[^\s]*$",
        description="base URL of the token issuer; its keys are at {issuer_url}/auth/verify_keys",
    )
    oidc_issuer: str | None = Field(
        None,
        min_length=1,
        description="an OpenID provider whose tokens are taken, as it calls itself in `iss`; needs the next two",
    )
    oidc_audience: str | None = Field(None, min_length=1, description="what its tokens must have in `aud`")
    oidc_jwks_url: str | None = Field(
        None, pattern=r"^https?://[^\s/]+[^\s]*$", description="where it publishes its keys (its `jwks_uri`)"
    )
    oidc_algorithms: str = Field(
        "RS256,ES256",
        description="what it may sign with, parted by commas; of "
        "RS256 RS384 RS512 PS256 PS384 PS512 ES256 ES384 ES512 EdDSA Ed25519",
    )
    oidc_client_claim: str = Field(
        "sub", pattern=r"^[!-~]{1,128}$", description="the claim of its tokens that holds our client's UUID"
    )
    own_tokens: bool = Field(
        default=True, description="whether config_service's tokens are taken beside those of an OpenID provider"
    )
    http_host: str = Field("127.0.0.1", min_length=1, description="address to listen on")
    http_port: int = Field(0, ge=0, le=65_535, description="port to listen on; 0 takes any free one")
    topic_prefix: str = Field(
        "",
        pattern=r"^[A-Za-z0-9._-]{0,64}$",
        description="put before every topic and consumer group, so that several systems can share a broker",
    )
    partitions: int = Field(12, ge=1, le=10_000, description="partitions of every keyed topic")
    replication: int = Field(1, ge=1, le=32, description="replicas of every partition")
    without: Names = Field(frozenset(), description="consumers and workers that this process leaves switched off")
    log_level: LogLevel = Field("INFO", description="the least severe log line that is written")
    traces_url: str | None = Field(
        None,
        pattern=r"^https?://[^\s/?#@]+(/[^\s?#]*)?$",
        description="where traces are sent by OTLP over HTTP, as http://collector:4318/v1/traces; without it, nowhere",
    )
    traces_ratio: float = Field(
        1.0,
        ge=0,
        le=1,
        description="share of the traces that begin here which is recorded; others are as their caller says",
    )
    rate_limit: float = Field(
        1000.0,
        ge=0,
        le=1_000_000,
        description="HTTP requests a second that each client may make in the long run, all replicas of the service "
        "together; 0 sets no limit",
    )
    rate_burst: int = Field(
        2000, ge=1, le=1_000_000, description="HTTP requests that each client may make at once, after a rest"
    )
    body_seconds: float = Field(
        30.0, gt=0, le=600, description="seconds within which the body of a request must arrive"
    )
    shutdown_grace: float = Field(
        20.0,
        gt=0,
        le=600,
        description="seconds in which what is in flight may finish after SIGTERM",
    )
    session_seconds: float = Field(
        6.0,
        ge=1,
        le=300,
        description="how long a consumer may be silent before its partitions go to others; the broker sets a minimum",
    )
    pool_size: int = Field(10, ge=3, le=200, description="most connections to the database held by this process")

    @field_validator("database_url")
    @classmethod
    def _names_a_postgresql_database(cls, value: SecretStr) -> SecretStr:
        async_url(value.get_secret_value())
        return value

    @field_validator("issuer_url")
    @classmethod
    def _without_a_slash_at_the_end(cls, value: str) -> str:
        return value.rstrip("/")

    @field_validator("log_level", mode="before")
    @classmethod
    def _in_either_case(cls, value: object) -> object:
        return value.upper() if isinstance(value, str) else value

    @field_validator("oidc_algorithms")
    @classmethod
    def _are_asymmetric(cls, value: str) -> str:
        names = _comma_separated(value)
        if not names or not _SIGNING.issuperset(names):
            message = f"must be some of {', '.join(sorted(_SIGNING))}"
            raise ValueError(message)
        return value

    @model_validator(mode="after")
    def _names_a_provider_whole_or_not_at_all(self) -> Self:
        named = [self.oidc_issuer, self.oidc_audience, self.oidc_jwks_url]
        if any(named) and not all(named):
            message = "PORTFOLIO_BUS_OIDC_ISSUER, _OIDC_AUDIENCE and _OIDC_JWKS_URL are set together"
            raise ValueError(message)
        if not self.own_tokens and self.oidc_issuer is None:
            message = "PORTFOLIO_BUS_OWN_TOKENS=false leaves no issuer at all"
            raise ValueError(message)
        return self

    def tracer_of(self, service: str) -> Tracer | None:
        """What records the work of a service, not opened yet; None where no traces are wanted."""
        return None if self.traces_url is None else Tracer(service, self.traces_url, self.traces_ratio)

    @property
    def oidc_algorithms_allowed(self) -> tuple[str, ...]:
        """What the OpenID provider may sign with."""
        return tuple(_comma_separated(self.oidc_algorithms))

    @property
    def async_database_url(self) -> str:
        """The database URL as SQLAlchemy wants it for asyncpg. It holds the password: not for printing."""
        return async_url(self.database_url.get_secret_value())


class SealingSettings(KitSettings):
    """Settings of a service that keeps secrets at rest; one that keeps none is not given the keys."""

    secret_keys: SecretStr = Field(description="Fernet keys parted by commas: the first seals, all open")

    @field_validator("secret_keys")
    @classmethod
    def _are_fernet_keys(cls, value: SecretStr) -> SecretStr:
        keys = _comma_separated(value.get_secret_value())
        if not keys or not all(_FERNET_KEY.fullmatch(key) for key in keys):
            message = "every key must be 32 bytes in URL-safe base64, which has 44 characters"
            raise ValueError(message)
        return value

    @property
    def sealing_keys(self) -> tuple[str, ...]:
        """The Fernet keys one by one, the one that seals first."""
        return tuple(_comma_separated(self.secret_keys.get_secret_value()))


SettingsT = TypeVar("SettingsT", bound=BaseSettings)


def settings_or_exit(cls: type[SettingsT]) -> SettingsT:
    """Read the settings from the environment and the folder of secrets, if one is named there.

    Ends the program with one sentence naming the variables at fault.

    The sentence never holds a value, since it may be a secret.
    """
    folder = os.environ.get(SECRETS_DIR) or None
    if folder is not None and not Path(folder).is_dir():
        message = f"The settings cannot be read: {SECRETS_DIR} names no folder that is there."
        raise SystemExit(message)
    try:
        return cls(_secrets_dir=folder)
    except ValidationError as error:
        raise SystemExit(_sentence(cls, error)) from None
    except SettingsError as error:
        # Its text names the field and the source only; the chained JSON error would show the value.
        message = f"The settings cannot be read: {error}."
        raise SystemExit(message) from None


def async_url(url: str) -> str:
    """Turn postgresql:// into SQLAlchemy's postgresql+asyncpg://, and libpq's sslmode into asyncpg's ssl.

    Raises ValueError, without the URL in its text, for anything else.
    """
    try:
        parsed = make_url(url)
    except (ArgumentError, ValueError):
        message = "is not a database URL"
        raise ValueError(message) from None
    if parsed.drivername not in {"postgresql", "postgres", "postgresql+asyncpg"} or not parsed.database:
        message = "must look like postgresql://user:password@host:port/name"
        raise ValueError(message)
    query = {("ssl" if name == "sslmode" else name): value for name, value in parsed.query.items()}
    return parsed.set(drivername="postgresql+asyncpg", query=query).render_as_string(hide_password=False)


def _sentence(cls: type[BaseSettings], error: ValidationError) -> str:
    faults = []
    for fault in error.errors(include_url=False, include_context=False, include_input=False):
        variable = PREFIX + "_".join(str(part) for part in fault["loc"]).upper()
        match fault["type"]:
            case "value_error" if not fault["loc"]:
                # Of several variables together, which the message names.
                faults.append(fault["msg"].removeprefix("Value error, "))
            case "missing":
                faults.append(f"{variable} is not set")
            case "string_pattern_mismatch":
                meaning = cls.model_fields[str(fault["loc"][0])].description
                faults.append(f"{variable} is malformed (it is the {meaning})")
            case _:
                faults.append(f"{variable} is malformed ({fault['msg'].removeprefix('Value error, ')})")
    return f"The settings are not complete: {'; '.join(faults)}."

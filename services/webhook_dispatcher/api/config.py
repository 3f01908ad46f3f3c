"""How an endpoint wants to be told, over HTTP: as it is asked for, changed and shown."""

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, BaseModel, Field, WithJsonSchema

from services.webhook_dispatcher.domain import (
    HEADER_NAME,
    HEADER_VALUE,
    LONGEST_BUNDLE,
    LONGEST_URL,
    MASK,
    MOST_HEADERS,
    URL_PATTERN,
    Auth,
    BasicAuth,
    EndpointConfig,
    OAuth2,
    Scheme,
)
from services.webhook_dispatcher.storage import SubscriptionRow
from shared.kit.http import BodyPart

_DELAY = "Seconds that an event waits, so that more can be sent with it"
_SIZE = "Events of one account in one body"
_RATE = "Requests a second at most; null: as many as it takes"
_ORDERED = "One account's events one after the other, in their order"
_TIMEOUT = "Seconds to answer in, where fewer than usual"
_SCHEDULE = "Seconds at most between one attempt and the next, within what the operator allows; null: the operator's"
_SIGNATURE = "How deliveries are signed: `v1`, and `v1a` (Ed25519, see `public_key`) where that is wanted besides"
_HEADERS = "Headers of every request, none of those that the dispatcher sets itself"
_AUTH = "How to sign in to the endpoint"
_BUNDLE = "Certificates in PEM that are trusted in place of the public authorities; of `token_url` as well"
_FINGERPRINTS = "SHA-256 of the certificates in `ca_bundle`; null: the public authorities"
_SCHEDULE_EXAMPLE = [5.0, 60.0, 3600.0]
_MASKED = {"X-Api-Key": MASK}

#: `v1` is always there: whoever has the secret can verify every delivery.
_SIGNATURES = [[Scheme.V1], [Scheme.V1, Scheme.V1A]]


def _is_one_of_the_signatures(value: list[Scheme]) -> list[Scheme]:
    if value not in _SIGNATURES:
        message = 'must be ["v1"] or ["v1", "v1a"]'
        raise ValueError(message)
    return value


def _headers_schema(*values: str) -> dict[str, Any]:
    value: dict[str, Any] = {"type": [*values], "pattern": HEADER_VALUE, "maxLength": 1024}
    names = {"pattern": HEADER_NAME, "maxLength": 64}
    return {"type": "object", "propertyNames": names, "additionalProperties": value, "maxProperties": MOST_HEADERS}


Delay = Annotated[float, Field(ge=0, le=86_400)]
PackageSize = Annotated[int, Field(ge=1, le=100)]
RateLimit = Annotated[int, Field(ge=1, le=10_000)]
Timeout = Annotated[float, Field(gt=0, le=120)]
Waits = Annotated[list[Annotated[float, Field(ge=0, le=7 * 86_400)]], Field(min_length=1, max_length=50)]
Signature = Annotated[
    list[Scheme], AfterValidator(_is_one_of_the_signatures), WithJsonSchema({"type": "array", "enum": _SIGNATURES})
]
HeaderName = Annotated[str, Field(pattern=HEADER_NAME, max_length=64)]
HeaderValue = Annotated[str, Field(pattern=HEADER_VALUE, max_length=1024)]
Headers = Annotated[
    dict[HeaderName, HeaderValue], Field(max_length=MOST_HEADERS), WithJsonSchema(_headers_schema("string"))
]
HeadersPatch = Annotated[
    dict[HeaderName, HeaderValue | None],
    Field(max_length=MOST_HEADERS),
    WithJsonSchema(_headers_schema("string", "null")),
]
Bundle = Annotated[str, Field(min_length=1, max_length=LONGEST_BUNDLE)]
Url = Annotated[str, Field(min_length=1, max_length=LONGEST_URL, json_schema_extra={"pattern": URL_PATTERN})]
Credential = Annotated[str, Field(min_length=1, max_length=1024, pattern="^[ -~]+$")]


class BasicAuthAsked(BodyPart):
    """HTTP Basic authentication."""

    type: Literal["basic"] = Field(description="RFC 7617")
    username: Annotated[str, Field(min_length=1, max_length=255, pattern="^[ -9;-~]+$")] = Field(
        description="The name, without a colon", examples=["portfolio-bus"]
    )
    password: Credential = Field(description="The password; never shown again", examples=["a password"])

    def as_auth(self) -> Auth:
        """What was asked for."""
        return BasicAuth(self.username, self.password)


class OAuth2Asked(BodyPart):
    """OAuth 2.0 client credentials: a token is fetched, kept until shortly before its end, and sent as a bearer's."""

    type: Literal["oauth2"] = Field(description="RFC 6749, section 4.4")
    token_url: Url = Field(description="Where tokens come from; as `url`", examples=["https://example.com/token"])
    client_id: Credential = Field(description="The client", examples=["portfolio-bus"])
    client_secret: Credential = Field(description="Its secret; never shown again", examples=["a secret"])
    scope: Credential | None = Field(None, description="What to ask for", examples=["events:write"])

    def as_auth(self) -> Auth:
        """What was asked for."""
        return OAuth2(self.token_url, self.client_id, self.client_secret, self.scope)


AuthAsked = Annotated[BasicAuthAsked | OAuth2Asked, Field(discriminator="type")]


class ConfigToMake(BodyPart):
    """How an endpoint wants to be told."""

    delay: Delay = Field(0.0, description=_DELAY, examples=[5.0])
    max_package_size: PackageSize = Field(1, description=_SIZE, examples=[10])
    rate_limit: RateLimit | None = Field(None, description=_RATE, examples=[20])
    ordered: bool = Field(False, description=_ORDERED)
    timeout: Timeout | None = Field(None, description=_TIMEOUT, examples=[5.0])
    retry_schedule: Waits | None = Field(None, description=_SCHEDULE, examples=[_SCHEDULE_EXAMPLE])
    signature: Signature = Field([Scheme.V1], description=_SIGNATURE, examples=[["v1"]])
    headers: Headers = Field({}, description=_HEADERS, examples=[{"X-Api-Key": "a key of the endpoint"}])
    auth: AuthAsked | None = Field(None, description=_AUTH)
    ca_bundle: Bundle | None = Field(None, description=_BUNDLE, examples=[None])

    def as_config(self) -> EndpointConfig:
        """What was asked for."""
        return EndpointConfig(**_plain(dict(self)))


class ConfigPatch(BodyPart):
    """What is to be changed; what is left out stays as it is, and null resets a field to its default."""

    delay: Delay | None = Field(None, description=_DELAY, examples=[5.0])
    max_package_size: PackageSize | None = Field(None, description=_SIZE, examples=[10])
    rate_limit: RateLimit | None = Field(None, description=_RATE, examples=[20])
    ordered: bool | None = Field(None, description=_ORDERED)
    timeout: Timeout | None = Field(None, description=_TIMEOUT, examples=[5.0])
    retry_schedule: Waits | None = Field(None, description=_SCHEDULE, examples=[_SCHEDULE_EXAMPLE])
    signature: Signature | None = Field(None, description=_SIGNATURE, examples=[["v1", "v1a"]])
    headers: HeadersPatch | None = Field(
        None, description=f"{_HEADERS}; null in the place of a value takes a header away", examples=[{"X-Old": None}]
    )
    auth: AuthAsked | None = Field(None, description=f"{_AUTH}; replaced whole")
    ca_bundle: Bundle | None = Field(None, description=_BUNDLE, examples=[None])

    def as_patch(self) -> dict[str, Any]:
        """What was sent, and nothing of what was left out."""
        return _plain({name: getattr(self, name) for name in self.model_fields_set})


def _plain(fields: dict[str, Any]) -> dict[str, Any]:
    plain = dict(fields)
    if plain.get("signature") is not None:
        plain["signature"] = tuple(plain["signature"])
    if plain.get("auth") is not None:
        plain["auth"] = plain["auth"].as_auth()
    return plain


class AuthShown(BaseModel):
    """How the dispatcher signs in to an endpoint, without what is secret of it."""

    type: Literal["basic", "oauth2"] = Field(description="HTTP Basic, or OAuth 2.0 client credentials")
    username: str | None = Field(None, description="Of `basic`", examples=["portfolio-bus"])
    token_url: str | None = Field(None, description="Of `oauth2`", examples=[None])
    client_id: str | None = Field(None, description="Of `oauth2`", examples=[None])
    scope: str | None = Field(None, description="Of `oauth2`", examples=[None])


class ConfigShown(BaseModel):
    """How an endpoint is told."""

    delay: float = Field(description=_DELAY, examples=[5.0])
    max_package_size: int = Field(description=_SIZE, examples=[10])
    rate_limit: int | None = Field(description=_RATE, examples=[20])
    ordered: bool = Field(description=_ORDERED)
    timeout: float | None = Field(description=_TIMEOUT, examples=[5.0])
    retry_schedule: list[float] | None = Field(None, description=_SCHEDULE, examples=[_SCHEDULE_EXAMPLE])
    signature: list[Scheme] = Field([Scheme.V1], description=_SIGNATURE, examples=[["v1"]])
    headers: dict[str, str] = Field({}, description="Headers of every request, their values masked", examples=[_MASKED])
    auth: AuthShown | None = Field(None, description=f"{_AUTH}, without what is secret of it")
    ca_fingerprints: list[str] | None = Field(None, description=_FINGERPRINTS, examples=[None])


def config_shown(row: SubscriptionRow) -> ConfigShown:
    """The configuration as the API shows it."""
    return ConfigShown(
        delay=row.delay_seconds,
        max_package_size=row.max_package_size,
        rate_limit=row.rate_limit,
        ordered=row.ordered,
        timeout=row.timeout_seconds,
        retry_schedule=row.retry_schedule,
        signature=[Scheme(each) for each in row.signature],
        headers=dict.fromkeys(row.header_names, MASK),
        auth=None if row.auth is None else AuthShown(**row.auth),
        ca_fingerprints=row.ca_fingerprints,
    )

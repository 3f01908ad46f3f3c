"""What the environment decides for config_service."""

from uuid import UUID

from pydantic import Field

from shared.kit.settings import SealingSettings


class Settings(SealingSettings):
    """The common settings, the keys that seal the signing keys, how long a token is good for, whose the ledger is."""

    token_seconds: int = Field(
        600,
        ge=30,
        le=86_400,
        description="seconds for which an access token is good; nothing can take it back before",
    )
    token_guesses: int = Field(
        60,
        ge=0,
        le=100_000,
        description="wrong secrets that may be shown a minute for one client id, before it is answered 429; "
        "0 sets no bound",
    )
    ledger_client_id: UUID | None = Field(
        None,
        description="the client as which requests to the ledger act that come without a token; unset, all need one",
    )

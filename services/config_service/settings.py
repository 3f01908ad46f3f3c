"""What the environment decides for config_service."""

from pydantic import Field

from shared.kit.settings import SealingSettings


class Settings(SealingSettings):
    """The common settings, the keys that seal the signing keys, and how long a token is good for."""

    token_seconds: int = Field(
        600,
        ge=30,
        le=86_400,
        description="seconds for which an access token is good; nothing can take it back before",
    )

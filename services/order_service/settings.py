"""What the environment decides for the order service."""

from pydantic import Field

from shared.kit.settings import KitSettings


class Settings(KitSettings):
    """The common settings, and how patient an order is with the copies that it is decided on."""

    barrier_wait: float = Field(
        5.0,
        gt=0,
        le=60,
        description="seconds that a decision waits for the copies to come as far as Kafka is, before it is put off",
    )
    version_wait: float = Field(
        2.0,
        ge=0,
        le=30,
        description="seconds that an order waits for a configuration version that it names and nobody has heard of yet",
    )
